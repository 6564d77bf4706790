"""Processes that end with the process that started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of prctl(2): the signal that the kernel sends when the parent ends.
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2


def bind_to_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit now if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


@contextmanager
def stay_bound() -> Iterator[None]:
    """Bind this process to its parent again, if it was, after a change of identity in the block.

    The kernel forgets the signal when a process gets other credentials.
    """
    libc, parent, signal_number = ctypes.CDLL(None), os.getppid(), ctypes.c_int()
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(signal_number), 0, 0, 0)
    yield
    if signal_number.value:
        bind_to_parent(parent)
