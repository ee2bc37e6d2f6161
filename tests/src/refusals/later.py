
# Starts a program that is refused calls later: SECCOMP ERROR COUNTS RULES PROGRAM ARGUMENT...
#
# RULES, with commas in between, are NUMBER:FROM, the number of a call and its first use that is answered with ERROR. The uses
# of all threads are counted together. How many there were is in the file COUNTS when the program has ended, with its children:
# a line NUMBER COUNT for each call.

import fcntl
import select
import socket

SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1

# struct seccomp_notif: an id, a thread, flags, and struct seccomp_data: the call, the architecture, where, six arguments.
ASKED = struct.Struct("@QIIiIQ6Q")
# struct seccomp_notif_resp: the id, the result, the error, flags.
ANSWERED = struct.Struct("@QqiI")


def request(direction, number, size):
    return direction << 30 | size << 16 | ord("!") << 8 | number


RECEIVE = request(3, 0, ASKED.size)
SEND = request(3, 1, ANSWERED.size)


def supervise(listener, error, first_refused, counts):
    while True:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        [(_, events)] = poll.poll()
        if not events & select.POLLIN:
            return
        asked = bytearray(ASKED.size)
        try:
            fcntl.ioctl(listener, RECEIVE, asked)
            id, _, _, call, *_ = ASKED.unpack(asked)
            counts[call] += 1
            if counts[call] < first_refused[call]:
                answer = ANSWERED.pack(id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE)
            else:
                answer = ANSWERED.pack(id, 0, -error, 0)
            fcntl.ioctl(listener, SEND, answer)
        except FileNotFoundError:
            # A signal has taken the thread out of the call.
            pass


error, path = int(sys.argv[2]), sys.argv[3]
rules = [[int(word) for word in rule.split(":")] for rule in sys.argv[4].split(",")]
ours, theirs = socket.socketpair()
if os.fork() == 0:
    # No child of the program, which may wait for its children.
    if os.fork() != 0:
        os._exit(0)
    theirs.close()
    os.setsid()
    # Nobody waits for its output.
    for stream in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    _, [listener], _, _ = socket.recv_fds(ours, 1, 1)
    counts = {call: 0 for call, _ in rules}
    supervise(listener, error, dict(rules), counts)
    with open(path + ".new", "w") as file:
        file.writelines(f"{call} {count}\n" for call, count in counts.items())
    # It is there with all of its lines.
    os.rename(path + ".new", path)
    os._exit(0)
ours.close()
os.wait()
rules = [[call] for call, _ in rules]
listener = install(int(sys.argv[1]), SECCOMP_RET_USER_NOTIF, rules, SECCOMP_FILTER_FLAG_NEW_LISTENER)
socket.send_fds(theirs, [b"."], [listener])
os.execvp(sys.argv[5], sys.argv[5:])
