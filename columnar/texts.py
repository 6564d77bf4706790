"""Columns of text on the bytes of a batch, and parsing of many texts at once.

The parsers read the usual forms only, and mark the texts that are in another form: the caller
checks those one by one. `pravah.events` has the complete rules; for a text that is parsed here the
value is the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from columnar import kernels
from columnar.arrays import Array, GrowableArray

# Bytes to reserve for each name of a table.
_NAME_BYTES = 64
# A buffer is compacted before it is decoded if it exceeds its texts by this factor.
_SPARSE = 2


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of UTF-8 texts. Texts may share bytes, and columns may share a buffer."""

    buffer: Array
    """uint8."""
    begins: Array
    """int64, shape (rows,): where each text begins in the buffer."""
    lengths: Array
    """int64, shape (rows,): how many bytes it has."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Make a column of strings."""
        encoded = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(
            np.frombuffer(b"".join(encoded), np.uint8), np.cumsum(lengths) - lengths, lengths
        )

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, rows: Array) -> "Texts":
        """Select rows by their positions or by a mask; the buffer is shared."""
        return Texts(self.buffer, self.begins[rows], self.lengths[rows])

    @classmethod
    def join(cls, parts: "Sequence[Texts]") -> "Texts":
        """Concatenate columns into one with a buffer of its own."""
        shifts = accumulate((len(part.buffer) for part in parts), initial=0)
        begins = [part.begins + shift for part, shift in zip(parts, shifts, strict=False)]
        return cls(
            np.concatenate([part.buffer for part in parts]),
            np.concatenate(begins),
            np.concatenate([part.lengths for part in parts]),
        )

    def compact(self) -> "Texts":
        """Copy the texts to a buffer that has no other bytes."""
        buffer = np.empty(int(self.lengths.sum()), np.uint8)
        begins = kernels.text.copy_texts(buffer, 0, self.buffer, self.begins, self.lengths)
        return Texts(buffer, begins, self.lengths)

    def prepend(self, prefixes: "Texts", rows: Array) -> "Texts":
        """Put a prefix before each text; `rows` are the rows of the prefixes."""
        return Texts(
            *kernels.text.prepend_texts(
                prefixes.buffer,
                prefixes.begins[rows],
                prefixes.lengths[rows],
                self.buffer,
                self.begins,
                self.lengths,
            )
        )

    def rows_equal(self, rows: Array, others: Array) -> Array:
        """Compare the texts of some rows with those of other rows, pair by pair."""
        return kernels.hashing.rows_equal(self.buffer, self.begins, self.lengths, rows, others)

    def values(self) -> list[Any]:
        """The rows as `str`."""
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
        """Compute the CRC-32 of each text, as `zlib.crc32` does; uint32."""
        return kernels.hashing.crc32(self.buffer, self.begins, self.lengths)

    def to_native(self) -> bytes:
        """Encode the column as `String` in ClickHouse's Native format."""
        return kernels.text.encode_native(self.buffer, self.begins, self.lengths).tobytes()


@dataclass(frozen=True, slots=True)
class HashedTexts:
    """A column of texts with their checksums, by which tables and filters look them up."""

    texts: Texts
    checksums: Array
    """uint32, shape (rows,): the CRC-32 of each text."""

    @classmethod
    def of(cls, texts: "Iterable[str] | Texts") -> "HashedTexts":
        """Compute the checksums of a column or of strings."""
        column = texts if isinstance(texts, Texts) else Texts.of(texts)
        return cls(column, column.crc32())

    def __len__(self) -> int:
        return len(self.checksums)

    def __getitem__(self, rows: Array) -> "HashedTexts":
        """Select rows by their positions or by a mask."""
        return HashedTexts(self.texts[rows], self.checksums[rows])

    @classmethod
    def join(cls, parts: "Sequence[HashedTexts]") -> "HashedTexts":
        """Concatenate columns into one with a buffer of its own."""
        return cls(
            Texts.join([part.texts for part in parts]),
            np.concatenate([part.checksums for part in parts]),
        )

    def values(self) -> list[Any]:
        """The rows as `str`."""
        return self.texts.values()


class NameTable:
    """A hash table of names, numbered from 0 in the order in which they are inserted.

    Args:
        names: the first names.
        expected: how many names to reserve memory for.
    """

    def __init__(self, names: Iterable[str] = (), expected: int = 0) -> None:
        self._columns = self._bytes, self._begins, self._lengths, self._checksums = (
            GrowableArray(np.uint8, expected * _NAME_BYTES),
            GrowableArray(np.int64, expected),
            GrowableArray(np.int64, expected),
            GrowableArray(np.uint32, expected),
        )
        self._slots = np.full(8, -1, np.int32)
        self.insert(HashedTexts.of(names))

    def __len__(self) -> int:
        return self._begins.count

    def insert(self, names: HashedTexts) -> None:
        """Insert names. None of them may be in the table yet, nor occur twice."""
        first, texts = len(self), names.texts
        size = int(texts.lengths.sum())
        self._begins.extend(
            kernels.text.copy_texts(
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
        kernels.hashing.hash_insert(self._slots, self._checksums.values, first)

    def find(self, texts: HashedTexts) -> Array:
        """Look up texts.

        Returns:
            int32, shape (texts,): the number of each, or -1 if it is not in the table.
        """
        column = texts.texts
        return kernels.hashing.hash_find(
            self._slots,
            self._checksums.buffer,
            self._bytes.buffer,
            self._begins.buffer,
            self._lengths.buffer,
            texts.checksums,
            column.buffer,
            column.begins,
            column.lengths,
        )

    def trim(self) -> None:
        """Give unused memory back; for a table that gets no more names."""
        for column in self._columns:
            column.trim()

    def select(self, numbers: Array) -> HashedTexts:
        """The names with some numbers. They share the table's bytes."""
        return HashedTexts(
            Texts(self._bytes.buffer, self._begins.buffer[numbers], self._lengths.buffer[numbers]),
            self._checksums.buffer[numbers],
        )


def parse_instants(texts: Texts) -> tuple[Array, Array]:
    """Parse RFC 3339 timestamps of the years 2000 to 2149.

    A fraction of a second has three or six digits.

    Returns:
        int64, microseconds since 1970-01-01T00:00Z, and which texts were parsed. The others,
        empty ones among them, have 0.
    """
    return kernels.time.parse_instants(texts.buffer, texts.begins, texts.lengths)


def parse_uuids(texts: Texts) -> tuple[Array, Array]:
    """Parse UUIDs in their usual form, in lower case.

    Returns:
        uint64, shape (texts, 2): the upper and the lower 64 bits, and which texts were parsed.
    """
    return kernels.identifiers.parse_uuids(texts.buffer, texts.begins, texts.lengths)


def is_hash(texts: Texts) -> Array:
    """Which texts are keyed hashes in lower case."""
    return kernels.identifiers.is_hash(texts.buffer, texts.begins, texts.lengths)


def is_hash_list(texts: Texts) -> Array:
    """Which JSON lists of texts have only keyed hashes in lower case; without their brackets."""
    return kernels.identifiers.is_hash_list(texts.buffer, texts.begins, texts.lengths)


def split_lists(texts: Texts) -> tuple[Array, Texts]:
    """Split JSON lists of texts, without their brackets, into their items.

    Texts must be free of escapes.

    Returns:
        How many items each list has, and the items of all lists, one list after another.
    """
    counts, begins, lengths = kernels.json.split_lists(texts.buffer, texts.begins, texts.lengths)
    return counts, Texts(texts.buffer, begins, lengths)
