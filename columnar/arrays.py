"""The array type, and an array that grows at its end."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A numpy array; docstrings give its dtype and shape.
Array = NDArray[Any]

# An array that is at least so full is not copied to give the rest of its memory back.
_TRIM_BELOW = 0.75


class GrowableArray:
    """An array of one dimension that doubles its buffer when it is full.

    Args:
        dtype: of numpy; of a number or of a record.
        expected: how many items to reserve. Memory that is reserved and never written is not used.
    """

    def __init__(self, dtype: Any, expected: int = 0) -> None:
        self.buffer: Array = np.empty(expected, dtype)
        self.count = 0

    @property
    def values(self) -> Array:
        """A view of all items; it may be stale after the next `reserve` or `extend`."""
        return self.buffer[: self.count]

    def reserve(self, more: int) -> Array:
        """Make sure that `more` items fit, and return the buffer.

        A caller that writes items after the first `count` ones must raise `count` itself.
        """
        if self.count + more > len(self.buffer):
            buffer = np.empty(max(self.count + more, 2 * len(self.buffer)), self.buffer.dtype)
            buffer[: self.count] = self.values
            self.buffer = buffer
        return self.buffer

    def extend(self, items: Array) -> None:
        """Append items at the end; the buffer grows if they do not fit."""
        end = self.count + len(items)
        self.reserve(len(items))[self.count : end] = items
        self.count = end

    def trim(self) -> None:
        """Give unused memory back if it is more than a quarter of the buffer."""
        if self.count < _TRIM_BELOW * len(self.buffer):
            self.buffer = self.values.copy()
