"""Columns of text as they lie in the bytes of a batch, and what is read from them at once: instants, UUIDs, keyed hashes, names with numbers.

Only the usual forms are read here. A text that is not one of them is marked, and whoever asks looks at it singly: `pravah.events` has the rule, this is a short cut to the same value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from columnar.arrays import Array, GrowableArray
from columnar.kernels import hashing, identifiers, text, time
from columnar.kernels.json import split_lists as _split_lists

_NAME_BYTES = 64
"""Of a name, about, where room is made beforehand."""
_SPARSE = 2
"""Bytes with so many times more than the texts on them have are not looked at whole."""


@dataclass(frozen=True, slots=True)
class Texts:
    """UTF-8 texts: where each begins in some bytes, and how many it takes. Several may lie on the same ones."""

    buffer: Array
    begins: Array
    lengths: Array

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Those of a list."""
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(
            np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths
        )

    def __len__(self) -> int:
        """How many rows."""
        return len(self.begins)

    def __getitem__(self, rows: Array) -> "Texts":
        """Some of them, by their places or by a mask."""
        return Texts(self.buffer, self.begins[rows], self.lengths[rows])

    @classmethod
    def join(cls, parts: "Sequence[Texts]") -> "Texts":
        """All of some, one after another."""
        shifts = accumulate((len(part.buffer) for part in parts), initial=0)
        begins = [part.begins + shift for part, shift in zip(parts, shifts, strict=False)]
        return cls(
            *(
                np.concatenate(columns)
                for columns in (
                    [part.buffer for part in parts],
                    begins,
                    [part.lengths for part in parts],
                )
            )
        )

    def compact(self) -> "Texts":
        """The same on bytes of their own, without those that no text has."""
        buffer = np.empty(int(self.lengths.sum()), np.uint8)
        return Texts(
            buffer,
            text.copy_texts(buffer, 0, self.buffer, self.begins, self.lengths),
            self.lengths,
        )

    def prepend(self, prefixes: "Texts", rows: Array) -> "Texts":
        """Each text behind a prefix; `rows` says which one."""
        buffer, begins, lengths = text.prepend_texts(
            prefixes.buffer,
            prefixes.begins[rows],
            prefixes.lengths[rows],
            self.buffer,
            self.begins,
            self.lengths,
        )
        return Texts(buffer, begins, lengths)

    def rows_equal(self, rows: Array, others: Array) -> Array:
        """For each of some rows whether its text is that of another row."""
        return hashing.rows_equal(self.buffer, self.begins, self.lengths, rows, others)

    def values(self) -> list[Any]:
        """As `str`."""
        if len(self.buffer) > _SPARSE * self.lengths.sum():
            return self.compact().values() if len(self.buffer) else [""] * len(self)
        raw = self.buffer.tobytes()
        ends = (self.begins + self.lengths).tolist()
        if raw.isascii():
            text = raw.decode("ascii")
            return [text[begin:end] for begin, end in zip(self.begins.tolist(), ends, strict=True)]
        return [
            raw[begin:end].decode() for begin, end in zip(self.begins.tolist(), ends, strict=True)
        ]

    def crc32(self) -> Array:
        """The checksum of each, as `zlib.crc32` gives it."""
        return hashing.crc32(self.buffer, self.begins, self.lengths)

    def to_native(self) -> bytes:
        """As ClickHouse's Native format has a column of `String`: each with its length before it, seven bits a byte."""
        return text.encode_native(self.buffer, self.begins, self.lengths).tobytes()


@dataclass(frozen=True, slots=True)
class HashedTexts:
    """Texts with the CRC-32 of each, by which tables and filters find them."""

    texts: Texts
    checksums: Array

    @classmethod
    def of(cls, texts: "Iterable[str] | Texts") -> "HashedTexts":
        """Those of a list or a column."""
        column = texts if isinstance(texts, Texts) else Texts.of(texts)
        return cls(column, column.crc32())

    def __len__(self) -> int:
        """How many rows."""
        return len(self.checksums)

    def __getitem__(self, rows: Array) -> "HashedTexts":
        """Some of them, by their places or by a mask."""
        return HashedTexts(self.texts[rows], self.checksums[rows])

    @classmethod
    def join(cls, parts: "Sequence[HashedTexts]") -> "HashedTexts":
        """All of some, one after another."""
        return cls(
            Texts.join([part.texts for part in parts]),
            np.concatenate([part.checksums for part in parts]),
        )

    def values(self) -> list[Any]:
        """As `str`."""
        return self.texts.values()


class NameTable:
    """Numbers names from 0, in the order in which they are entered, and finds the numbers of texts."""

    def __init__(self, names: Iterable[str] = (), expected: int = 0) -> None:
        """Enter these; `expected` is how many are to come, about."""
        self._columns = self._bytes, self._begins, self._lengths, self._checksums = (
            GrowableArray(np.uint8, expected * _NAME_BYTES),
            GrowableArray(np.int64, expected),
            GrowableArray(np.int64, expected),
            GrowableArray(np.uint32, expected),
        )
        self._slots = np.full(8, -1, np.int32)
        self.insert(HashedTexts.of(names))

    def __len__(self) -> int:
        """How many names."""
        return self._begins.count

    def insert(self, names: HashedTexts) -> None:
        """Number more, none of which is there yet, nor twice among them."""
        first, texts = len(self), names.texts
        size = int(texts.lengths.sum())
        self._begins.extend(
            text.copy_texts(
                self._bytes.reserve(size),
                self._bytes.count,
                texts.buffer,
                texts.begins,
                texts.lengths,
            )
        )
        self._bytes.count += size
        self._lengths.extend(texts.lengths)
        self._checksums.extend(names.checksums)
        if 2 * len(self) > len(self._slots):
            self._slots = np.full(1 << (4 * len(self) - 1).bit_length(), -1, np.int32)
            first = 0
        hashing.hash_insert(self._slots, self._checksums.values, first)

    def find(self, texts: HashedTexts) -> Array:
        """The number of each; -1 if it has none."""
        column = texts.texts
        return hashing.hash_find(
            *(
                self._slots,
                self._checksums.buffer,
                self._bytes.buffer,
                self._begins.buffer,
                self._lengths.buffer,
            ),
            *(texts.checksums, column.buffer, column.begins, column.lengths),
        )

    def trim(self) -> None:
        """Give back what room is left, if it is much: no more is to come."""
        for column in self._columns:
            column.trim()

    def select(self, numbers: Array) -> HashedTexts:
        """The names with some numbers."""
        return HashedTexts(
            Texts(self._bytes.buffer, self._begins.buffer[numbers], self._lengths.buffer[numbers]),
            self._checksums.buffer[numbers],
        )


def parse_instants(texts: Texts) -> tuple[Array, Array]:
    """Microseconds since 1970-01-01T00:00Z, and which texts were read; an empty one is 0 and not read.

    Read are RFC 3339 texts of the years 2000 to 2149 with no fraction or one of three or six digits.
    """
    return time.parse_instants(texts.buffer, texts.begins, texts.lengths)


def parse_uuids(texts: Texts) -> tuple[Array, Array]:
    """Shape (texts, 2): upper and lower 64 bits; and which texts are UUIDs in their usual form, in small letters."""
    return identifiers.parse_uuids(texts.buffer, texts.begins, texts.lengths)


def is_hash(texts: Texts) -> Array:
    """Which texts are keyed hashes in small letters."""
    return identifiers.is_hash(texts.buffer, texts.begins, texts.lengths)


def is_hash_list(texts: Texts) -> Array:
    """Which texts are what stands between the brackets of a list in JSON whose items are text and all are keyed hashes in small letters."""
    return identifiers.is_hash_list(texts.buffer, texts.begins, texts.lengths)


def split_lists(texts: Texts) -> tuple[Array, Texts]:
    """What stands between the brackets of lists in JSON whose items are text without escapes: how many items each has, and all of them one after another."""
    counts, begins, lengths = _split_lists(texts.buffer, texts.begins, texts.lengths)
    return counts, Texts(texts.buffer, begins, lengths)
