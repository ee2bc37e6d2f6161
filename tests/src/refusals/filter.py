"""Starts a program under a seccomp filter: ACTION RULES PROGRAM ARGUMENT...

ACTION is what the filter answers. RULES say what it answers so, with commas in between: the number of a call, or
CALL:INDEX:VALUE, the call with this value of an argument.
"""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000

# Instructions of BPF: load a word of what is known of the call, skip one if it is something else, answer.
LOAD, UNLESS_EQUAL, ANSWER = 0x20, 0x15, 0x06


def instruction(code, value, unless=0):
    return struct.pack("HBBI", code, 0, unless, value)


action = int(sys.argv[1])
NUMBER = 0
# Arguments have 64 bits, of which the lower half is looked at.
ARGUMENTS = 16 if sys.byteorder == "little" else 20
program = b""
for rule in sys.argv[2].split(","):
    number, *argument = (int(word) for word in rule.split(":"))
    program += instruction(LOAD, NUMBER)
    if argument:
        index, value = argument
        program += instruction(UNLESS_EQUAL, number, 3)
        program += instruction(LOAD, ARGUMENTS + 8 * index)
        program += instruction(UNLESS_EQUAL, value, 1)
    else:
        program += instruction(UNLESS_EQUAL, number, 1)
    program += instruction(ANSWER, action)
program += instruction(ANSWER, SECCOMP_RET_ALLOW)

buffer = ctypes.create_string_buffer(program, len(program))
# struct sock_fprog: how many instructions, and where.
filter = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in (
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0),
):
    if libc.prctl(*arguments) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[3], sys.argv[3:])
