"""Columns of rows, and blocks of columns, as roll-ups are computed and inserted.

`columnar.texts.Texts` is the column of arbitrary text. Every column has a length, and `values()`,
which returns its rows as plain Python objects: tests and repairs read a `Block` that way.
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
    """A column of integers; the dtype of the array is their width."""

    numbers: Array

    def __len__(self) -> int:
        return len(self.numbers)

    def values(self) -> list[Any]:
        """The rows as `int`."""
        return self.numbers.tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Days:
    """A column of dates: days since 1970-01-01."""

    numbers: Array

    def __len__(self) -> int:
        return len(self.numbers)

    def values(self) -> list[Any]:
        """The rows as `datetime.date`."""
        return [date_of(day) for day in self.numbers.tolist()]


@dataclass(frozen=True, slots=True)
class NullableIntegers:
    """A column of integers and nulls."""

    numbers: Array
    missing: Array
    """bool: where the row is null; the number of such a row has no meaning."""

    def __len__(self) -> int:
        return len(self.numbers)

    def values(self) -> list[Any]:
        """The rows as `int` or None."""
        return [
            None if missing else number
            for number, missing in zip(self.numbers.tolist(), self.missing.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Uuids:
    """A column of UUIDs."""

    halves: Array
    """uint64, shape (rows, 2): the upper and the lower 64 bits."""

    def __len__(self) -> int:
        return len(self.halves)

    def values(self) -> list[Any]:
        """The rows as `uuid.UUID`."""
        return [UUID(int=upper << 64 | lower) for upper, lower in self.halves.tolist()]


@dataclass(frozen=True, slots=True)
class DictionaryTexts:
    """A column of texts with few distinct values; ClickHouse's `LowCardinality(String)`."""

    codes: Array
    """The position of each row's text among the names."""
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def values(self) -> list[Any]:
        """The rows as `str`."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Enums:
    """A column of ClickHouse's type `Enum8` whose numbers are 1, 2, 3 and so on."""

    codes: Array
    """The position of each row's name, from 0: one less than its number."""
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def values(self) -> list[Any]:
        """The rows as `str`."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of lists."""

    lengths: Array
    """How many items each list has."""
    items: Integers | DictionaryTexts
    """The items of all lists, one list after another."""

    def __len__(self) -> int:
        return len(self.lengths)

    def values(self) -> list[Any]:
        """The rows as `list`."""
        items, ends = self.items.values(), np.cumsum(self.lengths).tolist()
        return [
            items[end - length : end]
            for end, length in zip(ends, self.lengths.tolist(), strict=True)
        ]


Column = Integers | Days | NullableIntegers | Uuids | Texts | DictionaryTexts | Enums | Lists


class Block:
    """Columns of equal length, by name. Iterating yields the rows as tuples of Python objects."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self.columns = columns

    @property
    def parts(self) -> "Sequence[Block]":
        """The block alone, so that an insert reads it as it reads `Blocks`."""
        return (self,)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*(column.values() for column in self.columns.values()), strict=True)


class Blocks:
    """Several blocks that are inserted as one, without being concatenated.

    There is at least one; all have the same columns, and the same names in `DictionaryTexts`.
    """

    def __init__(self, parts: Sequence[Block]) -> None:
        self.parts = parts
        self.columns = parts[0].columns.keys()

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return chain.from_iterable(self.parts)


class NameDictionary:
    """Distinct names, numbered from 0 in the order in which they are added.

    Names are never removed, so their numbers stay valid. Threads may share a dictionary.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(names)
        self._codes = {name: code for code, name in enumerate(self.names)}
        self._lock = Lock()

    def intern(self, name: str) -> int:
        """Return the number of a name, which is added if it is new."""
        code = self._codes.get(name)
        if code is None:
            with self._lock:
                code = self._codes.get(name)
                if code is None:
                    code = len(self.names)
                    self.names.append(name)
                    self._codes[name] = code
        return code


def item_positions(lengths: Array, rows: Array) -> Array:
    """Compute the positions, among the items of all lists, of the items of some rows' lists.

    Args:
        lengths: how many items each list has.
        rows: the rows whose items are wanted, in this order.
    """
    return expand_ranges((np.cumsum(lengths) - lengths)[rows], lengths[rows])


def expand_ranges(begins: Array, lengths: Array) -> Array:
    """Concatenate the ranges `begin, begin + 1, … begin + length - 1`."""
    return np.repeat(begins - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
