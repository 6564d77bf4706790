"""Validation of many records at once: the same decisions as `Validator`'s, column by column.

A record in the usual form is read by `columnar.decoding` and checked in columns. A record that does
not pass here, for whatever reason, is passed to `Validator`, which decides and explains. So a rule
that is missing here costs time but never changes a figure, and a rule that is here must refuse
everything that `Validator` refuses (`tests/property/test_batch_validation.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from columnar.arrays import Array
from columnar.columns import NameDictionary
from columnar.control_characters import has_control_character
from columnar.decoding import KINDS, DecodedEvents, decode
from columnar.texts import (
    HashedTexts,
    NameTable,
    Texts,
    is_hash,
    is_hash_list,
    parse_instants,
    parse_uuids,
    split_lists,
)
from pravah.days import KOLKATA_OFFSET_SECONDS
from pravah.events import MAX_EVENT_BYTES, Event, EvidenceUrl, Kind, Label
from rollup.chunks import Record
from rollup.record_batch import RecordBatch
from rollup.validation import Accepted, Misrouted, Rejected, Tick, Validator
from rollup.version_columns import REPORT, Encodings, LedgerColumns, columns_of
from rollup.versions import Version

_LABEL: TypeAdapter[str] = TypeAdapter(Label)
_EVIDENCE: TypeAdapter[list[str]] = TypeAdapter(list[EvidenceUrl])
_TALLY = KINDS.index("tally")

# Upper bound of the number of metrics that one event feeds.
_MAX_RULES = 1 << 16


@dataclass(slots=True)
class Verdicts:
    """The results of validating some records of one partition."""

    accepted: LedgerColumns | None
    rejected: list[Rejected]
    misrouted: list[Misrouted]
    ticks: list[int]
    """Offsets of the ticks."""

    def of(self, records: RecordBatch) -> "Verdicts":
        """Return the results of some consecutive ones among the records."""
        first, last = records[0].offset, records[-1].offset
        accepted = self.accepted
        if accepted is not None:
            accepted = accepted.where((first <= accepted.offset) & (accepted.offset <= last))
        return Verdicts(
            accepted if accepted is not None and len(accepted) else None,
            [one for one in self.rejected if first <= one.record.offset <= last],
            [one for one in self.misrouted if first <= one.record.offset <= last],
            [offset for offset in self.ticks if first <= offset <= last],
        )


class _Amounts(NamedTuple):
    """Amounts of some events: row of the event, order within it, metric, amount."""

    row: Array
    order: int
    metric: Array
    amount: Array


class BatchValidator:
    """Validates batches under the registry and the metric dictionary of a `Validator`."""

    def __init__(self, validator: Validator) -> None:
        self.validator = validator
        """Validates the records that do not pass in columns."""
        dictionary = validator.dictionary
        self.encodings = encodings = Encodings.of(validator.registry, dictionary)
        """What the numbers in columns stand for. New tools and installations are added."""
        self._hierarchy = hierarchy = encodings.hierarchy
        self._partitions = np.fromiter(
            map(validator.partition_of, hierarchy.key_names), np.int32, len(hierarchy.key_names)
        )[hierarchy.keys]
        self._units, self._tools, self._producers = (
            NameTable(hierarchy.codes),
            NameTable(),
            NameTable(),
        )
        tallies = [
            name for name, metric in dictionary.metrics.items() if metric.source.kind == "tally"
        ]
        self._tallies, self._tally_metrics = (
            NameTable(tallies),
            np.array([*map(encodings.metrics.intern, tallies), -1], np.int32),
        )
        self._key_prefixes = Texts.of(f"{key}\n" for key in hierarchy.key_names)

    def validate(self, partition: int, records: Sequence[Record]) -> Verdicts:
        """Validate consecutive records of a partition.

        The accepted versions of an entity are in the order of the log.
        """
        records = RecordBatch.of(records)
        columns, passed = self._columns(partition, records)
        others = [records[row] for row in np.flatnonzero(~passed).tolist()]
        return self._validate_singly(partition, columns if len(columns) else None, others)

    def _validate_singly(
        self, partition: int, columns: LedgerColumns | None, others: Iterable[Record]
    ) -> Verdicts:
        """Validate the records that did not pass in columns, and add the results to those."""
        verdicts = Verdicts(columns, [], [], [])
        accepted = []
        for record in others:
            decision = self.validator.validate(partition, record)
            if isinstance(decision, Accepted):
                accepted.append((decision.event, decision.version, decision.record))
            elif isinstance(decision, Rejected):
                verdicts.rejected.append(decision)
            elif isinstance(decision, Misrouted):
                verdicts.misrouted.append(decision)
            elif isinstance(decision, Tick):
                verdicts.ticks.append(record.offset)
        if accepted:
            accepted.sort(key=_offset_of)
            single = columns_of(accepted, partition, self.encodings)
            verdicts.accepted = single if columns is None else _join(columns, single)
        verdicts.rejected.sort(key=_offset)
        verdicts.misrouted.sort(key=_offset)
        return verdicts

    def _columns(self, partition: int, records: RecordBatch) -> tuple[LedgerColumns, Array]:
        """Return the events that pass in columns, and the mask of their records."""
        hierarchy = self._hierarchy
        events, passed = decode(
            records.buffer,
            records.value_begins,
            np.where(records.value_lengths <= MAX_EVENT_BYTES, records.value_lengths, 0),
        )
        appended_at = records.timestamps
        unit = self._units.find(HashedTexts.of(events.text("unit")))
        occurred_at, read = parse_instants(events.text("occurred_at"))
        day = ((occurred_at // 1_000_000 + KOLKATA_OFFSET_SECONDS) // 86_400).astype(np.int32)
        passed &= (
            read
            & (unit >= 0)
            & (hierarchy.first[unit] <= day)
            & (day <= hierarchy.last[unit])
            & (self._partitions[unit] == partition)
        )
        # as `check_version` and `pravah.control_characters`; records of before these rules go to
        # `Validator` as well
        latest = appended_at * 1000 + self.validator.max_future_micros
        passed &= (occurred_at <= latest) & (events.number("version") // 1_000 <= latest)
        passed &= ~has_control_character(
            Texts(records.buffer, records.value_begins, np.maximum(records.value_lengths, 0))
        )
        event_id, read = parse_uuids(events.text("event_id"))
        passed &= read
        reported_at, read = parse_instants(events.text("reported_at"))
        unreported = ~events.has("reported_at")
        passed &= read | unreported
        self._check_texts(events, passed)
        self._check_trained(events, unit, day, passed)
        tool = self._labels(self._tools, self.encodings.tools, events.text("source.tool"), passed)
        producer = self._labels(
            self._producers, self.encodings.producers, events.text("source.producer"), passed
        )
        lengths, metrics, amounts = self._amounts(events, passed)
        rows = np.flatnonzero(passed)
        entities, names = self._entities(events, unit, rows)
        return LedgerColumns(
            entities=entities,
            version=events.number("version")[rows],
            op=events.number("op")[rows].astype(np.int8),
            verification=events.number("verification")[rows].astype(np.int8),
            unit=unit[rows],
            occurred_at=occurred_at[rows],
            day=day[rows],
            lengths=lengths[rows],
            metrics=metrics,
            amounts=amounts,
            partition=np.full(len(rows), partition, np.int32),
            offset=records.offsets[rows],
            appended_at=appended_at[rows],
            event_id=event_id[rows],
            names=names,
            kind=events.number("kind")[rows].astype(np.int8),
            reported_at=reported_at[rows],
            unreported=unreported[rows],
            tool=tool[rows],
            producer=producer[rows],
            reporter=events.text("reporter")[rows].compact(),
            evidence=events.text("evidence")[rows].compact(),
            data=events.data(rows),
        ), passed

    def _entities(
        self, events: DecodedEvents, unit: Array, rows: Array
    ) -> tuple[HashedTexts, Texts]:
        """Return the entities of some events, with and without routing keys, on the same bytes."""
        named, entity, identity = (
            events.has("entity"),
            events.text("entity"),
            events.text("event_id"),
        )
        names = Texts(
            events.buffer,
            np.where(named, entity.begins, identity.begins)[rows],
            np.where(named, entity.lengths, identity.lengths)[rows],
        )
        keys = self._hierarchy.keys[unit[rows]]
        entities = names.prepend(self._key_prefixes, keys)
        return HashedTexts.of(entities), Texts(
            entities.buffer, entities.begins + self._key_prefixes.lengths[keys], names.lengths
        )

    @staticmethod
    def _check_texts(events: DecodedEvents, passed: Array) -> None:
        """Check texts beyond decoding: hashes, links and labels."""
        for path, are_usual in _TEXTS.items():
            has = events.has(path) & passed
            if has.any():
                rows = np.flatnonzero(has)
                passed[rows[~are_usual(events.text(path)[rows])]] = False

    def _check_trained(self, events: DecodedEvents, unit: Array, day: Array, passed: Array) -> None:
        rows = np.flatnonzero(passed & (events.number("data.trained_units") > 0))
        if len(rows):
            counts, trained = split_lists(events.text("data.trained_units")[rows])
            rows = np.repeat(rows, counts)
            passed[
                rows[
                    ~self._hierarchy.are_at_or_below(
                        self._units.find(HashedTexts.of(trained)), unit[rows], day[rows]
                    )
                ]
            ] = False
            # `Validator` compares them only if the data of a retraction is complete.
            passed[rows[events.number("op")[rows] != REPORT]] = False

    @staticmethod
    def _labels(table: NameTable, names: NameDictionary, texts: Texts, passed: Array) -> Array:
        """Return the numbers of tools or producers; new ones are added.

        A text that is no label does not pass.
        """
        table.insert(HashedTexts.of(names.names[len(table) :]))
        numbers = table.find(HashedTexts.of(texts))
        unknown = np.flatnonzero((numbers < 0) & passed)
        if len(unknown):
            for text in dict.fromkeys(texts[unknown].values()):
                if _is_label(text):
                    names.intern(text)
            table.insert(HashedTexts.of(names.names[len(table) :]))
            numbers[unknown] = table.find(HashedTexts.of(texts[unknown]))
            passed &= numbers >= 0
        return numbers

    def _amounts(self, events: DecodedEvents, passed: Array) -> tuple[Array, Array, Array]:
        """Compute `MetricDictionary.amounts` of all events.

        Returns:
            Number of amounts of each event; metrics and amounts, one event after another.
        """
        kind, report = events.number("kind"), (events.number("op") == REPORT) & passed
        parts: list[_Amounts] = []
        for number, name in enumerate(KINDS):
            of_kind = passed & (kind == number)
            if number == _TALLY and of_kind.any():
                parts += self._tallied(events, np.flatnonzero(of_kind), report, passed)
            elif number != _TALLY and (rows := np.flatnonzero(of_kind & report)).size:
                parts += self._derived(name, events, rows)
        if not parts:
            return np.zeros(len(events), np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
        row = np.concatenate([one.row for one in parts])
        order = np.argsort(
            row * _MAX_RULES
            + np.repeat([one.order for one in parts], [len(one.row) for one in parts]),
            kind="stable",
        )
        return (
            np.bincount(row, minlength=len(events)),
            np.concatenate([one.metric for one in parts])[order],
            np.concatenate([one.amount for one in parts])[order],
        )

    def _tallied(
        self, events: DecodedEvents, rows: Array, report: Array, passed: Array
    ) -> Iterable[_Amounts]:
        metric = self._tally_metrics[
            self._tallies.find(HashedTexts.of(events.text("data.metric")[rows]))
        ]
        passed[rows[(metric < 0) & events.has("data")[rows]]] = False
        reported = (metric >= 0) & report[rows]
        yield _Amounts(
            rows[reported], 0, metric[reported], events.number("data.value")[rows[reported]]
        )

    def _derived(self, kind: Kind, events: DecodedEvents, rows: Array) -> Iterable[_Amounts]:
        """Apply the rules of a kind, each to the events that it selects."""
        dictionary = self.validator.dictionary
        is_observed = dictionary.is_observed(kind)
        for given, chosen in _cases(events, dictionary.selectors(kind), rows):
            active = events.number("data.active")[chosen] if is_observed else None
            for order, (metric, field) in enumerate(dictionary.rules(kind, given)):
                amount = (
                    np.ones(len(chosen), np.int64)
                    if field is None
                    else events.number(f"data.{field}")[chosen]
                )
                if active is not None:
                    amount = amount * active
                reporting = chosen
                if (
                    field is not None
                    and not (has := events.has_value(f"data.{field}")[chosen]).all()
                ):
                    reporting, amount = chosen[has], amount[has]
                yield _Amounts(
                    reporting,
                    order,
                    np.full(len(reporting), self.encodings.metrics.intern(metric), np.int32),
                    amount,
                )


def _cases(
    events: DecodedEvents, selectors: Sequence[str], rows: Array
) -> Iterable[tuple[tuple[Any, ...], Array]]:
    """Group events by the values of some fields of their data."""
    codes, values = np.zeros(len(rows), np.int64), []
    for selector in selectors:
        numbers, of_numbers = events.dictionary_encode(f"data.{selector}", rows)
        codes = codes * len(of_numbers) + numbers
        values.append(of_numbers)
    for code in np.unique(codes).tolist():
        given, rest = [], code
        for of_numbers in reversed(values):
            rest, number = divmod(rest, len(of_numbers))
            given.append(of_numbers[number])
        yield tuple(reversed(given)), rows[codes == code]


def _join(columns: LedgerColumns, others: LedgerColumns) -> LedgerColumns:
    """Concatenate; in the order of the log if an entity is in both.

    Of two versions of an entity with the same number the first one counts.
    """
    together = LedgerColumns.join([columns, others])
    if set(others.entities.values()).isdisjoint(columns.entities.values()):
        return together
    return together.take(np.argsort(together.offset, kind="stable"))


def _offset_of(accepted: tuple[Event, Version, Record]) -> int:
    return accepted[2].offset


def _offset(decision: Rejected | Misrouted) -> int:
    return decision.record.offset


def _label_mask(texts: Texts) -> Array:
    listed = texts.values()
    labels = {text for text in set(listed) if _is_label(text)}
    return np.array([text in labels for text in listed], bool)


def _link_mask(texts: Texts) -> Array:
    listed = texts.values()
    mask: Array = np.ones(len(listed), bool)
    try:
        _EVIDENCE.validate_python(listed)
    except ValidationError as error:
        mask[
            [
                int(item["loc"][0])
                for item in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            ]
        ] = False
    return mask


def _is_label(text: str) -> bool:
    try:
        _LABEL.validate_python(text)
    except ValidationError:
        return False
    return True


# Fields with a pattern → the check that returns a mask of the texts that match it. Units, tools,
# producers, metrics and instants are checked where they are converted to numbers.
_TEXTS = {
    "reporter": is_hash,
    "evidence": _link_mask,
    "data.person": is_hash,
    "data.member_keys": is_hash_list,
    "data.programme": _label_mask,
}
