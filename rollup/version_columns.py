"""Accepted versions as columns, and the dictionary encoding of their values."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from columnar.arrays import Array
from columnar.columns import (
    Block,
    Days,
    DictionaryTexts,
    Enums,
    Integers,
    Lists,
    NameDictionary,
    NullableIntegers,
    Uuids,
    item_positions,
)
from columnar.decoding import KINDS
from columnar.texts import HashedTexts, Texts
from pravah.days import instant_micros
from pravah.events import Event, Retraction
from pravah.units import routing_key
from rollup.chunks import Record
from rollup.hierarchy import Hierarchy
from rollup.versions import Version
from schemas.metrics import MetricDictionary
from schemas.registry import Registry

OPS: tuple[Any, ...] = ("report", "retract")
VERIFICATIONS: tuple[Any, ...] = ("unverified", "verified", "rejected")
REPORT, VERIFIED, REFUSED = (
    OPS.index("report"),
    VERIFICATIONS.index("verified"),
    VERIFICATIONS.index("rejected"),
)

# Routing key, line feed, entity: an entity is identified within its routing key.
Entity = str


@dataclass(frozen=True, slots=True)
class Encodings:
    """Dictionary encoding: what the numbers in columns stand for."""

    hierarchy: Hierarchy
    metrics: NameDictionary
    """The dictionary's metrics first; then others that the ledger still has."""
    stocks: frozenset[str]
    """Names of the metrics that are stocks; all others are flows."""
    is_stock: Array
    """bool, by the number of a metric of the dictionary; the last value is that of all others."""
    tools: NameDictionary = field(default_factory=NameDictionary)
    producers: NameDictionary = field(default_factory=NameDictionary)

    @classmethod
    def of(cls, registry: Registry, dictionary: MetricDictionary) -> "Encodings":
        """Encode a registry and a metric dictionary."""
        metrics = NameDictionary(list(dictionary.metrics))
        return cls(
            Hierarchy(registry),
            metrics,
            dictionary.stocks,
            np.array([*(name in dictionary.stocks for name in metrics.names), False]),
        )

    def are_stocks(self, metrics: Array) -> Array:
        """Return a mask of the metrics that are stocks."""
        return self.is_stock.take(metrics, mode="clip")


# Columns with any number of values in a row, which `lengths` has.
RAGGED = ("metrics", "amounts")


@dataclass(slots=True)
class VersionColumns:
    """The columns from which figures are computed, a row for each version, in the order of the log.

    `Encodings` has the meaning of numbers.
    """

    entities: HashedTexts
    """Each one an `Entity`."""
    version: Array
    op: Array
    verification: Array
    unit: Array
    occurred_at: Array
    """Microseconds since 1970-01-01T00:00Z."""
    day: Array
    """Days since 1970-01-01, in Asia/Kolkata."""
    lengths: Array
    """Number of metrics that each version reports."""
    metrics: Array
    """The metrics of all versions, one version after another; parallel to `amounts`."""
    amounts: Array

    def __len__(self) -> int:
        """Return the number of versions."""
        return len(self.entities)

    @staticmethod
    def of(versions: Iterable[tuple[Entity, Version]], encodings: Encodings) -> "VersionColumns":
        """Convert single versions to columns.

        Raises:
            LookupError: the registry has no such unit.
        """
        listed = list(versions)
        return VersionColumns(
            HashedTexts.of(entity for entity, _ in listed),
            **_columns_of([version for _, version in listed], encodings),
        )

    def take(self, rows: Array) -> Self:
        """Return some rows, in this order."""
        return self._select(rows, item_positions(self.lengths, rows))

    def where(self, mask: Array) -> Self:
        """Return the rows of a mask."""
        return self._select(mask, np.repeat(mask, self.lengths))

    def _select(self, rows: Array, items: Array) -> Self:
        return type(self)(
            **{
                one.name: getattr(self, one.name)[items if one.name in RAGGED else rows]
                for one in fields(self)
            }
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate versions in the order of the log."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            **{
                one.name: _concatenate([getattr(part, one.name) for part in parts])
                for one in fields(cls)
            }
        )

    def each(self, encodings: Encodings) -> Iterator[Version]:
        """Yield single versions."""
        names, codes, begin = encodings.metrics.names, encodings.hierarchy.codes, 0
        metrics, amounts = self.metrics.tolist(), self.amounts.tolist()
        for version, op, verification, unit, occurred_at, day, length in zip(
            *(
                column.tolist()
                for column in (
                    self.version,
                    self.op,
                    self.verification,
                    self.unit,
                    self.occurred_at,
                    self.day,
                    self.lengths,
                )
            ),
            strict=True,
        ):
            items = range(begin, begin + length)
            reported = {names[metrics[item]]: amounts[item] for item in items}
            yield Version(
                version,
                OPS[op],
                VERIFICATIONS[verification],
                codes[unit],
                occurred_at,
                day,
                reported,
            )
            begin += length


@dataclass(slots=True)
class LedgerColumns(VersionColumns):
    """The same with all other columns of the ledger."""

    partition: Array
    offset: Array
    appended_at: Array
    """Milliseconds since 1970-01-01T00:00Z."""
    event_id: Array
    """uint64, shape (versions, 2): upper and lower 64 bits."""
    names: Texts
    """The entities without their routing keys."""
    kind: Array
    reported_at: Array
    """Microseconds since 1970-01-01T00:00Z."""
    unreported: Array
    """True where `reported_at` is missing."""
    tool: Array
    producer: Array
    reporter: Texts
    evidence: Texts
    data: Texts

    def ledger(self, encodings: Encodings, *, correction: Array | None = None) -> Block:
        """Return rows of the ledger (`rollup.storage.LEDGER`)."""
        hierarchy, none = encodings.hierarchy, np.zeros(len(self), np.uint32)
        return Block(
            {
                "key": DictionaryTexts(hierarchy.keys[self.unit], hierarchy.key_names),
                "entity": self.names,
                "version": Integers(self.version.astype(np.uint64)),
                "partition": Integers(self.partition),
                "offset": Integers(self.offset.astype(np.uint64)),
                "event_id": Uuids(self.event_id),
                "op": Enums(self.op, OPS),
                "unit": DictionaryTexts(self.unit, hierarchy.codes),
                "kind": DictionaryTexts(self.kind, KINDS),
                "occurred_at": Integers(self.occurred_at),
                "day": Days(self.day),
                "reported_at": NullableIntegers(self.reported_at, self.unreported),
                "tool": DictionaryTexts(self.tool, encodings.tools.names),
                "producer": DictionaryTexts(self.producer, encodings.producers.names),
                "reporter": self.reporter,
                "evidence": self.evidence,
                "verification": Enums(self.verification, VERIFICATIONS),
                "data": self.data,
                "metrics": Lists(
                    self.lengths, DictionaryTexts(self.metrics, encodings.metrics.names)
                ),
                "amounts": Lists(self.lengths, Integers(self.amounts)),
                "appended_at": Integers(self.appended_at),
                "correction": Integers(
                    none if correction is None else correction.astype(np.uint32)
                ),
                "deleted": Integers(none.astype(np.uint8)),
            }
        )


def columns_of(
    accepted: Sequence[tuple[Event, Version, Record]], partition: int, encodings: Encodings
) -> LedgerColumns:
    """Convert events that were validated singly to columns."""
    events, versions, records = zip(*accepted, strict=True)
    reported = [
        None if event.reported_at is None else instant_micros(event.reported_at) for event in events
    ]
    ids = [event.event_id.int for event in events]

    return LedgerColumns(
        entities=HashedTexts.of(
            f"{routing_key(event.unit)}\n{event.entity_name}" for event in events
        ),
        **_columns_of(versions, encodings),
        partition=np.full(len(accepted), partition, np.int32),
        offset=_integers(record.offset for record in records),
        appended_at=_integers(record.timestamp for record in records),
        event_id=np.array([(one >> 64, one & _LOWER) for one in ids], np.uint64).reshape(-1, 2),
        names=Texts.of(event.entity_name for event in events),
        kind=_integers((KINDS.index(event.kind) for event in events), np.int8),
        reported_at=_integers(one or 0 for one in reported),
        unreported=np.array([one is None for one in reported], bool),
        tool=_integers((encodings.tools.intern(event.source.tool) for event in events), np.int32),
        producer=_integers(
            (encodings.producers.intern(event.source.producer) for event in events), np.int32
        ),
        reporter=Texts.of(event.reporter or "" for event in events),
        evidence=Texts.of(event.evidence or "" for event in events),
        data=Texts.of(
            "" if isinstance(event, Retraction) else event.data.model_dump_json(exclude_none=True)
            for event in events
        ),
    )


def _columns_of(versions: Sequence[Version], encodings: Encodings) -> dict[str, Array]:
    """Return all columns of `VersionColumns` but the entities."""
    units = encodings.hierarchy.numbers
    if unknown := {version.unit for version in versions} - units.keys():
        msg = (
            f"the registry has no unit {', '.join(sorted(unknown))}, of which there are accepted "
            "versions: load the registry again, or restart the worker if it is older"
        )
        raise LookupError(msg)
    return {
        "version": _integers(version.version for version in versions),
        "op": _integers((OPS.index(version.op) for version in versions), np.int8),
        "verification": _integers(
            (VERIFICATIONS.index(version.verification) for version in versions), np.int8
        ),
        "unit": _integers((units[version.unit] for version in versions), np.int32),
        "occurred_at": _integers(version.occurred_at for version in versions),
        "day": _integers((version.day for version in versions), np.int32),
        "lengths": _integers(len(version.amounts) for version in versions),
        "metrics": _integers(
            (
                encodings.metrics.intern(metric)
                for version in versions
                for metric in version.amounts
            ),
            np.int32,
        ),
        "amounts": _integers(amount for version in versions for amount in version.amounts.values()),
    }


def _integers(values: Iterable[int], kind: type[np.generic] = np.int64) -> Array:
    return np.fromiter(values, kind)


def _concatenate(columns: Sequence[Any]) -> Any:
    return (
        type(columns[0]).join(columns)
        if isinstance(columns[0], Texts | HashedTexts)
        else np.concatenate(columns)
    )


_LOWER = (1 << 64) - 1
