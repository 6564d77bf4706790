"""The array type, and an array that grows at its end."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A numpy array; docstrings give its dtype and shape.
Array = NDArray[Any]

_MUCH = 0.75
"""So full is a room that is left as it is: to copy what is in it takes longer than it is worth."""


class GrowableArray:
    """Numbers, or records of several; the room doubles when it is full."""

    def __init__(self, kind: Any, expected: int = 0) -> None:
        """Begin with none, and with room for as many as are expected: what of it is never used takes no memory."""
        self.buffer: Array = np.empty(expected, kind)
        self.count = 0

    @property
    def values(self) -> Array:
        """All of them; what is added later may be elsewhere."""
        return self.buffer[: self.count]

    def reserve(self, more: int) -> Array:
        """The room, with place for so many more behind those that are there. Whoever fills it in raises `count`."""
        if self.count + more > len(self.buffer):
            room = np.empty(max(self.count + more, 2 * len(self.buffer)), self.buffer.dtype)
            room[: self.count] = self.values
            self.buffer = room
        return self.buffer

    def extend(self, numbers: Array) -> None:
        """Add some."""
        end = self.count + len(numbers)
        self.reserve(len(numbers))[self.count : end] = numbers
        self.count = end

    def trim(self) -> None:
        """Give back what room is left, if it is much."""
        if self.count < _MUCH * len(self.buffer):
            self.buffer = self.values.copy()
