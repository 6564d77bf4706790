"""Processes that end with the process that started them."""

import ctypes
import os
import signal
import sys

# Of prctl(2): the signal that the kernel sends when the parent ends.
_PR_SET_PDEATHSIG = 1


def bind_to_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit now if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
