"""Free space of a disk."""

from typing import NamedTuple


class Disk(NamedTuple):
    """A disk or folder that holds data; sizes in bytes."""

    name: str
    free: int
    total: int
