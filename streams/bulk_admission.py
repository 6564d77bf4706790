"""Admission of many records at once: the same decisions as `Admission`, column by column.

A record in the usual form is read by `schemas.decoding` and checked in columns. Whatever does not pass here, for whichever reason, is given to `Admission`, which decides and explains: so a rule that is only there costs time and never a
figure, and one that is here must say no to everything that `Admission` refuses (`tests/test_bulk_admission.py`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import add, attrgetter
from typing import Any, NamedTuple

import numpy as np
from msgspec import UNSET
from pydantic import TypeAdapter, ValidationError

from schemas.columns import Numbers
from schemas.days import KOLKATA_OFFSET_SECONDS
from schemas.decoding import KINDS, STRUCTS, decode, encode
from schemas.events import MAX_EVENT_BYTES, MODELS, Event, EvidenceUrl, Kind, Label
from schemas.text_columns import are_hashes, instants, uuids
from streams.accepted import OPS, REPORT, VERIFICATIONS, LedgerColumns, Vocabulary, columns_of
from streams.admission import Accepted, Admission, Misrouted, Rejected, Tick
from streams.chunks import Record
from streams.contribution import Version

_LABEL: TypeAdapter[str] = TypeAdapter(Label)
_EVIDENCE: TypeAdapter[list[str]] = TypeAdapter(list[EvidenceUrl])
_MOST_LABELS, _PRODUCER_BITS = 50_000, 32
"""Tools and installations that are remembered; one more costs time, no more."""
_TALLY = KINDS.index("tally")
_MOST_RULES = 1 << 16
"""More than an event can feed metrics."""


@dataclass(slots=True)
class Decided:
    """What became of some records of one partition."""

    accepted: LedgerColumns | None
    rejected: list[Rejected]
    misrouted: list[Misrouted]
    ticks: int = 0


class _Moments(NamedTuple):
    """Where and when events occurred and arrived, as in `LedgerColumns`."""

    appended_at: Numbers
    unit: Numbers
    occurred_at: Numbers
    day: Numbers


class _Amounts(NamedTuple):
    """Amounts of some events: which event, in which order within it, of which metric, how much."""

    row: Numbers
    order: int
    metric: Numbers
    amount: Numbers


class BulkAdmission:
    """Decides about batches, under the registry and the metric dictionary of an `Admission`."""

    def __init__(self, admission: Admission) -> None:
        """Take the one that decides singly."""
        self._admission = admission
        dictionary = admission.dictionary
        self.vocabulary = Vocabulary.of(admission.registry, dictionary)
        """What the numbers in the columns mean. Tools and installations are added as they come."""
        self._hierarchy = hierarchy = self.vocabulary.hierarchy
        self._partitions = np.fromiter(map(admission.partition_of, hierarchy.key_names), np.int32, len(hierarchy.key_names))[hierarchy.keys]
        self._tallies = {name: self.vocabulary.metrics.code(name) for name, metric in dictionary.metrics.items() if metric.source.kind == "tally"}
        self._sources: dict[Any, int] = {}
        """Sources → the numbers of tool and producer in one."""
        self._key_prefixes = [f"{key}\n" for key in hierarchy.key_names]

    def admit(self, partition: int, records: Sequence[Record]) -> Decided:
        """Decide about consecutive records of a partition. The accepted versions of an entity come in the order of the log."""
        usual: list[Record] = []
        events: list[Any] = []
        unusual: list[Record] = []
        for record in records:
            try:
                events.append(decode(record.value))  # type: ignore[arg-type] # no value: no event
            except Exception:  # noqa: BLE001 - whatever is wrong with it, admission says so
                unusual.append(record)
            else:
                usual.append(record)
        return self._with_unusual(partition, self._usual(partition, usual, events, unusual), unusual)

    def _usual(self, partition: int, records: list[Record], events: list[Any], unusual: list[Record]) -> LedgerColumns | None:
        """The columns of those events that pass; the records of the others are added to the unusual ones."""
        if not events:
            return None
        moments, passed = self._moments(partition, records, events)
        if not passed.all():
            unusual += [records[row] for row in np.flatnonzero(~passed).tolist()]
            rows = np.flatnonzero(passed)
            records, events = [records[row] for row in rows.tolist()], [events[row] for row in rows.tolist()]
            moments = _Moments(*(column[rows] for column in moments))
            if not events:
                return None
        columns, passed = self._columns(partition, records, events, moments)
        if passed.all():
            return columns
        unusual += [records[row] for row in np.flatnonzero(~passed).tolist()]
        return columns.where(passed) if passed.any() else None

    def _with_unusual(self, partition: int, columns: LedgerColumns | None, unusual: Iterable[Record]) -> Decided:
        decided = Decided(columns, [], [])
        accepted = []
        for record in unusual:
            decision = self._admission.admit(partition, record)
            if isinstance(decision, Accepted):
                accepted.append((decision.event, decision.version, decision.record))
            elif isinstance(decision, Rejected):
                decided.rejected.append(decision)
            elif isinstance(decision, Misrouted):
                decided.misrouted.append(decision)
            elif isinstance(decision, Tick):
                decided.ticks += 1
        if accepted:
            accepted.sort(key=_offset_of)
            others = columns_of(accepted, partition, self.vocabulary)
            decided.accepted = others if columns is None else _in_order(columns, others)
        decided.rejected.sort(key=_offset)
        decided.misrouted.sort(key=_offset)
        return decided

    def _moments(self, partition: int, records: Sequence[Record], events: Sequence[Any]) -> tuple[_Moments, Numbers]:
        """Where and when each event occurred, and which of them may be: what is wrong with an event is mostly there."""
        hierarchy = self._hierarchy
        appended_at = np.array([record.timestamp for record in records], np.int64)
        unit = np.array(list(map(hierarchy.numbers.get, [event.unit for event in events], repeat(-1))), np.int32)
        occurred_at, passed = instants([event.occurred_at for event in events])
        day = ((occurred_at // 1_000_000 + KOLKATA_OFFSET_SECONDS) // 86_400).astype(np.int32)
        passed &= (unit >= 0) & (hierarchy.first[unit] <= day) & (day <= hierarchy.last[unit]) & (self._partitions[unit] == partition)
        passed &= occurred_at <= appended_at * 1000 + self._admission.max_future_micros
        passed &= np.array([len(record.value) for record in records]) <= MAX_EVENT_BYTES  # type: ignore[arg-type] # they were decoded
        return _Moments(appended_at, unit, occurred_at, day), passed

    def _columns(self, partition: int, records: Sequence[Record], events: Sequence[Any], moments: _Moments) -> tuple[LedgerColumns, Numbers]:
        """All events as columns, and which of them may be taken so; of the others the columns mean nothing."""
        hierarchy, count = self._hierarchy, len(events)
        appended_at, unit, occurred_at, day = moments
        event_id, passed = uuids([event.event_id for event in events])
        reported_at, unreported = self._reported(events, passed)
        tool, producer = self._source_codes(events, passed)
        reporter = [event.reporter or "" for event in events]
        _check_hashes(reporter, passed)
        evidence = self._evidence(events, passed)
        kind = np.array(list(map(STRUCTS.__getitem__, map(type, events))), np.int8)
        op = _choices([event.op for event in events], OPS)
        data = [event.data for event in events]
        lengths, metrics, amounts = self._amounts(kind, data, op, passed)
        self._check_data(events, kind, day, passed)
        names = [event.entity or event.event_id for event in events]
        prefixes = map(self._key_prefixes.__getitem__, hierarchy.keys[unit].tolist())
        return LedgerColumns(
            entities=list(map(add, prefixes, names)),
            version=np.array([event.version for event in events], np.int64),
            op=op,
            verification=_choices([event.verification for event in events], VERIFICATIONS),
            unit=unit,
            occurred_at=occurred_at,
            day=day,
            lengths=lengths,
            metrics=metrics,
            amounts=amounts,
            partition=np.full(count, partition, np.int32),
            offset=np.array([record.offset for record in records], np.int64),
            appended_at=appended_at,
            event_id=event_id,
            names=names,
            kind=kind,
            reported_at=reported_at,
            unreported=unreported,
            tool=tool,
            producer=producer,
            reporter=reporter,
            evidence=evidence,
            data=list(map(encode, data)),
        ), passed

    @staticmethod
    def _reported(events: Sequence[Any], passed: Numbers) -> tuple[Numbers, Numbers]:
        texts = [event.reported_at for event in events]
        unreported = np.array([text is UNSET for text in texts], bool)
        micros = np.zeros(len(texts), np.int64)
        given = np.flatnonzero(~unreported)
        if len(given):
            micros[given], read = instants([text for text in texts if text is not UNSET])
            passed[given[~read]] = False
        return micros, unreported

    @staticmethod
    def _evidence(events: Sequence[Any], passed: Numbers) -> list[str]:
        texts = [event.evidence for event in events]
        given = [row for row, text in enumerate(texts) if text is not UNSET]
        try:
            _EVIDENCE.validate_python([texts[row] for row in given])
        except ValidationError as error:
            passed[[given[int(item["loc"][0])] for item in error.errors(include_url=False, include_context=False, include_input=False)]] = False
        return [text or "" for text in texts]

    def _source_codes(self, events: Sequence[Any], passed: Numbers) -> tuple[Numbers, Numbers]:
        sources = [event.source for event in events]
        codes = np.array(list(map(self._sources.get, sources, repeat(-1))), np.int64)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            codes[unknown] = [self._learn_source(sources[row]) for row in unknown.tolist()]
            passed &= codes >= 0
        return (codes >> _PRODUCER_BITS).astype(np.int32), (codes & (1 << _PRODUCER_BITS) - 1).astype(np.int32)

    def _learn_source(self, source: Any) -> int:  # noqa: ANN401 - the struct
        """The numbers of a tool and producer that were not met yet; -1 if they are no labels, or too many were met."""
        if source not in self._sources and len(self._sources) < _MOST_LABELS and _is_label(source.tool) and _is_label(source.producer):
            self._sources[source] = self.vocabulary.tools.code(source.tool) << _PRODUCER_BITS | self.vocabulary.producers.code(source.producer)
        return self._sources.get(source, -1)

    def _amounts(self, kind: Numbers, data: Sequence[Any], op: Numbers, passed: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """What `MetricDictionary.amounts` gives for each event, one event after another: how many, metrics, amounts."""
        found: list[_Amounts] = []
        for number, name in enumerate(KINDS):
            rows = np.flatnonzero((kind == number) & (op == REPORT))
            if len(rows):
                found += self._tallied(rows, data, passed) if number == _TALLY else self._derived(name, rows, data)
        if not found:
            return np.zeros(len(data), np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
        row = np.concatenate([one.row for one in found])
        order = np.argsort(row * _MOST_RULES + np.repeat([one.order for one in found], [len(one.row) for one in found]), kind="stable")
        return (
            np.bincount(row, minlength=len(data)),
            np.concatenate([one.metric for one in found])[order],
            np.concatenate([one.amount for one in found])[order],
        )

    def _tallied(self, rows: Numbers, data: Sequence[Any], passed: Numbers) -> Iterable[_Amounts]:
        tallies = self._tallies
        chosen = [data[row] for row in rows.tolist()]
        metric = np.array([tallies.get(one.metric, -1) for one in chosen], np.int32)
        passed[rows[metric < 0]] = False
        yield _Amounts(rows, 0, metric, np.array([one.value for one in chosen], np.int64))

    def _derived(self, kind: Kind, rows: Numbers, data: Sequence[Any]) -> Iterable[_Amounts]:
        """By the rules of the kind; each rule takes the events it selects."""
        dictionary = self._admission.dictionary
        selectors, cases = dictionary.selectors(kind), defaultdict[tuple[str, ...], list[int]](list)
        if len(selectors) == 1:
            (selector,) = selectors
            for row in rows.tolist():
                cases[getattr(data[row], selector),].append(row)
        else:
            for row in rows.tolist():
                cases[tuple(getattr(data[row], selector) for selector in selectors)].append(row)
        is_observed = dictionary.is_observed(kind)
        for given, chosen in cases.items():
            reports = [data[row] for row in chosen]
            places = np.array(chosen)
            active = np.array([one.active for one in reports], bool) if is_observed else None
            for order, (metric, field) in enumerate(dictionary.rules(kind, given)):
                if field is None:
                    amount, reporting = np.ones(len(reports), np.int64), places
                else:
                    amount, reporting = _field(reports, field, places)
                if active is not None:
                    amount = np.where(active[np.isin(places, reporting)] if len(reporting) != len(places) else active, amount, 0)
                yield _Amounts(reporting, order, np.full(len(reporting), self.vocabulary.metrics.code(metric), np.int32), amount)

    def _check_data(self, events: Sequence[Any], kind: Numbers, day: Numbers, passed: Numbers) -> None:
        """What the structs leave open of the data: hashes, labels, units."""
        for number in np.unique(kind).tolist():
            rows = np.flatnonzero(kind == number).tolist()
            for field, check in _OPEN_FIELDS[KINDS[number]]:
                given = [(row, value) for row in rows if (value := getattr(events[row].data, field)) is not UNSET]
                if given:
                    check(self, events, day, given, passed)

    def _hash(self, _events: Sequence[Any], _day: Numbers, given: list[tuple[int, str]], passed: Numbers) -> None:
        rows, texts = zip(*given, strict=True)
        passed[np.array(rows)[~are_hashes(texts)]] = False

    def _hash_lists(self, _events: Sequence[Any], _day: Numbers, given: list[tuple[int, list[str]]], passed: Numbers) -> None:
        rows = np.repeat([row for row, _ in given], [len(texts) for _, texts in given])
        passed[rows[~are_hashes(list(chain.from_iterable(texts for _, texts in given)))]] = False

    def _label(self, _events: Sequence[Any], _day: Numbers, given: list[tuple[int, str]], passed: Numbers) -> None:
        wrong = {text for text in {text for _, text in given} if not _is_label(text)}
        if wrong:
            passed[[row for row, text in given if text in wrong]] = False

    def _trained(self, events: Sequence[Any], day: Numbers, given: list[tuple[int, list[str]]], passed: Numbers) -> None:
        is_below = self._hierarchy.registry.is_at_or_below
        for row, units in given:
            if passed[row] and events[row].op == "report":
                unit, on = events[row].unit, int(day[row])
                passed[row] = all(is_below(trained, unit, on) for trained in units)
            elif units:
                passed[row] = False  # a retraction's are not compared with the registry, but formed well


def _choices(chosen: Sequence[str], names: Sequence[str]) -> Numbers:
    """Places among the names, the first of which nearly all have."""
    codes, usual = np.zeros(len(chosen), np.int8), names[0]
    others = [row for row, name in enumerate(chosen) if name is not usual]
    codes[others] = [names.index(chosen[row]) for row in others]
    return codes


def _in_order(columns: LedgerColumns, others: LedgerColumns) -> LedgerColumns:
    """Both together; in the order of the log where one entity is in both, for of two versions with one number the first stands."""
    together = LedgerColumns.join([columns, others])
    if set(others.entities).isdisjoint(columns.entities):
        return together
    return together.take(np.argsort(together.offset, kind="stable"))


def _offset_of(accepted: tuple[Event, Version, Record]) -> int:
    return accepted[2].offset


def _offset(decision: Rejected | Misrouted) -> int:
    return decision.record.offset


def _field(reports: Sequence[Any], field: str, places: Numbers) -> tuple[Numbers, Numbers]:
    """A field's amounts, and the places of those reports that give one."""
    values = list(map(attrgetter(field), reports))
    given = [value for value in values if value is not UNSET]
    if len(given) == len(values):
        return np.array(values, np.int64), places
    return np.array(given, np.int64), places[[value is not UNSET for value in values]]


def _check_hashes(texts: Sequence[str], passed: Numbers) -> None:
    given = [row for row, text in enumerate(texts) if text]
    if given:
        passed[np.array(given)[~are_hashes([texts[row] for row in given])]] = False


def _is_label(text: str) -> bool:
    try:
        _LABEL.validate_python(text)
    except ValidationError:
        return False
    return True


_OPEN_FIELDS: dict[Kind, list[tuple[str, Any]]] = {kind: [] for kind in MODELS}
_OPEN_FIELDS["incharge_appointed"] = [("person", BulkAdmission._hash)]  # noqa: SLF001 - its own
_OPEN_FIELDS["membership"] = [("member_keys", BulkAdmission._hash_lists)]  # noqa: SLF001
_OPEN_FIELDS["training_held"] = [("programme", BulkAdmission._label), ("trained_units", BulkAdmission._trained)]  # noqa: SLF001
