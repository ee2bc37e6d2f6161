"""Seccomp filters as sandboxes have them. What comes after this text in one program says what they are for."""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_RET_ALLOW = 0x7FFF0000

# Instructions of BPF: load a word of what is known of the call, skip some if it is something else, answer.
LOAD, UNLESS_EQUAL, ANSWER = 0x20, 0x15, 0x06

NUMBER = 0
# Arguments have 64 bits, of which the lower half is looked at.
ARGUMENTS = 16 if sys.byteorder == "little" else 20

libc = ctypes.CDLL(None, use_errno=True)


def instruction(code, value, unless=0):
    return struct.pack("HBBI", code, 0, unless, value)


def check(result):
    if result < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return result


def install(seccomp, action, rules, flags=0):
    """From now on `action` answers what the rules say: the number of a call, or this and the index and value of an
    argument. `seccomp` is the number of that call. Returns what the kernel does."""
    program = b""
    for number, *argument in rules:
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
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return check(libc.syscall(seccomp, SECCOMP_SET_MODE_FILTER, flags, filter))
