"""Many rows side by side: columns of numbers and text, as the bulk path folds and writes them.

A `Block` is what an insert takes. Iterated, it gives its rows as tuples of plain Python values, in the order of its columns: that is how tests and repairs look at it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import Any
from uuid import UUID

import numpy as np

from columnar.arrays import Array
from columnar.texts import Texts
from pravah.days import date_of


@dataclass(frozen=True, slots=True)
class Integers:
    """Whole numbers of the column's own width."""

    numbers: Array

    def __len__(self) -> int:
        """How many rows."""
        return len(self.numbers)

    def values(self) -> list[Any]:
        """As Python has them."""
        return self.numbers.tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Days:
    """Days since 1970-01-01."""

    numbers: Array

    def __len__(self) -> int:
        """How many rows."""
        return len(self.numbers)

    def values(self) -> list[Any]:
        """As `datetime.date`."""
        return [date_of(day) for day in self.numbers.tolist()]


@dataclass(frozen=True, slots=True)
class NullableIntegers:
    """Numbers, some of which are missing."""

    numbers: Array
    missing: Array
    """True where there is none."""

    def __len__(self) -> int:
        """How many rows."""
        return len(self.numbers)

    def values(self) -> list[Any]:
        """None where there is none."""
        return [
            None if missing else number
            for number, missing in zip(self.numbers.tolist(), self.missing.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Uuids:
    """Shape (rows, 2): the upper and the lower 64 bits."""

    halves: Array

    def __len__(self) -> int:
        """How many rows."""
        return len(self.halves)

    def values(self) -> list[Any]:
        """As `uuid.UUID`."""
        return [UUID(int=upper << 64 | lower) for upper, lower in self.halves.tolist()]


@dataclass(frozen=True, slots=True)
class DictionaryTexts:
    """Text of which there are few different ones: positions in a list of names."""

    codes: Array
    names: Sequence[str]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.codes)

    def values(self) -> list[Any]:
        """The names."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Enums:
    """An enumeration whose numbers begin at 1: positions in its names."""

    codes: Array
    names: Sequence[str]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.codes)

    def values(self) -> list[Any]:
        """The names."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Lists:
    """A list a row: how long each is, and all their items one after another."""

    lengths: Array
    items: Integers | DictionaryTexts

    def __len__(self) -> int:
        """How many rows."""
        return len(self.lengths)

    def values(self) -> list[Any]:
        """As lists."""
        items, ends = self.items.values(), np.cumsum(self.lengths).tolist()
        return [
            items[end - length : end]
            for end, length in zip(ends, self.lengths.tolist(), strict=True)
        ]


Column = Integers | Days | NullableIntegers | Uuids | Texts | DictionaryTexts | Enums | Lists


class Block:
    """Columns of equal length, by name."""

    def __init__(self, columns: dict[str, Column]) -> None:
        """Take them; the order is that of the rows' values."""
        self.columns = columns

    @property
    def parts(self) -> "Sequence[Block]":
        """Itself alone; see `Blocks`."""
        return (self,)

    def __len__(self) -> int:
        """How many rows."""
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows."""
        return zip(*(column.values() for column in self.columns.values()), strict=True)


class Blocks:
    """Blocks with the same columns, whose labels have the same names, one after another: at least one. An insert takes them as one without putting them together."""

    def __init__(self, parts: Sequence[Block]) -> None:
        """Take them."""
        self.parts = parts
        self.columns = parts[0].columns.keys()

    def __len__(self) -> int:
        """How many rows."""
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows."""
        return chain.from_iterable(self.parts)


class NameDictionary:
    """Names that were met so far, each with its number; they only grow, so numbers stay what they are. Several threads may meet them."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Begin with these."""
        self.names = list(names)
        self._codes = {name: code for code, name in enumerate(self.names)}
        self._growing = Lock()

    def intern(self, name: str) -> int:
        """The number of a name, a new one if need be."""
        code = self._codes.get(name)
        if code is None:
            with self._growing:
                code = self._codes.get(name)
                if code is None:
                    code = len(self.names)
                    self.names.append(name)
                    self._codes[name] = code
        return code


def item_positions(lengths: Array, rows: Array) -> Array:
    """Where the items of some rows stand among the items of all, for lists of these lengths."""
    return expand_ranges((np.cumsum(lengths) - lengths)[rows], lengths[rows])


def expand_ranges(begins: Array, lengths: Array) -> Array:
    """Where the items of some lists stand, by where each list begins and how long it is."""
    return np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
