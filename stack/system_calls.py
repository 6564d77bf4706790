"""The C library, for system calls that Python does not have."""

import ctypes
import os


def libc() -> ctypes.CDLL:
    """Return the C library; `check` finds the error of its last call."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """Return the result of a call.

    Raises:
        OSError: it is negative: the call failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
