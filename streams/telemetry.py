"""The metrics catalogue of the roll-up worker: the only place where its metrics are defined.

`docs/metrics.md` shows the catalogue as a table. An attribute of `Telemetry` has the name of its
metric without the prefix `pravah_`: `Telemetry.records_total` is `pravah_records_total`. Names
follow the Prometheus conventions: base units (seconds, bytes), `_total` for counters, `_info` for
facts.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast, get_args, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from rollup.open_chunk import Counts
from rollup.validation import Reason, Rejected
from streams.health import WorkerState

PREFIX = "pravah_"

# The outcome of a record of the log.
Outcome = Literal["accepted", "duplicate", "rejected", "forwarded", "tick"]

# Buckets for one call of ClickHouse, whose timeout is 120 s.
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_BUILD_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

M = TypeVar("M", bound=MetricWrapperBase)


class Metric(NamedTuple):
    """One line of the catalogue."""

    name: str
    type: str
    """`counter`, `gauge`, `histogram` or `info`."""
    labels: tuple[str, ...]
    help: str


class _Defined(Generic[M]):
    """Defines a metric in the body of `Telemetry`; the attribute's name becomes the metric's."""

    def __init__(
        self,
        kind: type[M],
        text: str,
        *,
        label: str | None = None,
        values: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Describe the metric.

        Args:
            kind: its class.
            text: its help.
            label: its only label, if it has one.
            values: values of the label that are exported as 0 from the start, so that Prometheus
                sees the first increase.
            options: further arguments of the class.
        """
        self._kind = kind
        self._text = text
        self._labels = (label,) if label else ()
        self._values = values
        self._options = options

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, telemetry: None, _owner: type) -> "_Defined[M]": ...
    @overload
    def __get__(self, telemetry: "Telemetry", _owner: type) -> M: ...
    def __get__(self, telemetry: "Telemetry | None", _owner: type) -> "_Defined[M] | M":
        return self if telemetry is None else cast("M", telemetry.__dict__[self._name])

    @property
    def described(self) -> Metric:
        return Metric(PREFIX + self._name, self._kind.__name__.lower(), self._labels, self._text)

    def make(self, telemetry: "Telemetry") -> None:
        """Register the metric for one worker, as an attribute of the instance."""
        name = (PREFIX + self._name).removesuffix("_info")  # an Info adds the suffix itself
        made = self._kind(
            name, self._text, self._labels, registry=telemetry.registry, **self._options
        )
        for value in self._values:
            made.labels(value)
        telemetry.__dict__[self._name] = made


class Telemetry:
    """The metrics of one worker, in a registry of their own. Safe to use from several threads.

    Counters begin at 0 when the worker starts. A chunk that is folded again after a restart or a
    rebalance is counted again: these metrics describe the worker's work, not the figures.
    """

    records_total = _Defined(
        Counter,
        "Records folded, by outcome: accepted (a new version of an entity), duplicate (a known "
        "version), rejected (sent to activity.rejected), forwarded (sent to the partition of its "
        "unit), tick (only completes the chunk of an idle partition).",
        label="outcome",
        values=get_args(Outcome),
    )
    corrections_total = _Defined(
        Counter, "Accepted versions of an entity that had another version before."
    )
    rejected_total = _Defined(
        Counter,
        "Rejected records, by the header `reason` of activity.rejected.",
        label="reason",
        values=get_args(Reason),
    )

    lag_records = _Defined(
        Gauge,
        "Records in the log that are not durable in ClickHouse: end offset less durable offset.",
        label="partition",
    )
    lag_seconds = _Defined(
        Gauge,
        "Age in seconds of the oldest record that is in the log and not durable; 0 when all are "
        "durable. The uncommitted offset of an open chunk is no lag.",
        label="partition",
    )
    end_offset = _Defined(
        Gauge,
        "Offset after the last record of the log, as the broker last reported it.",
        label="partition",
    )
    durable_offset = _Defined(
        Gauge, "Offset below which all records are in the figures in ClickHouse.", label="partition"
    )
    released_offset = _Defined(
        Gauge,
        "Offset below which all chunks are closed: the worker may commit it, and the partition's "
        "next owner starts there.",
        label="partition",
    )

    open_chunk_age_seconds = _Defined(
        Gauge,
        "Seconds since this worker opened the open chunk; no value without one. In an idle "
        "partition hours are usual.",
        label="partition",
    )
    chunks_closed_total = _Defined(Counter, "Chunks closed.")
    chunks_repaired_total = _Defined(
        Counter, "Closed chunks in which rows of another attempt differed and were repaired."
    )

    flush_seconds = _Defined(
        Histogram,
        "Seconds of one flush, which writes all rows that changed since the last one.",
        buckets=_CALL_SECONDS,
    )
    insert_seconds = _Defined(
        Histogram,
        "Seconds of one insert into a table, with its retries while ClickHouse was away.",
        label="table",
        buckets=_CALL_SECONDS,
    )
    rows_written_total = _Defined(Counter, "Rows inserted into a table.", label="table")

    ledger_lookups_total = _Defined(
        Counter, "Entities that were looked up in the ledger, because the seen filter had them."
    )
    ledger_found_total = _Defined(
        Counter,
        "Entities that were looked up in the ledger and found; the others were false positives of "
        "the seen filter, or from an earlier attempt at the chunk.",
    )
    ledger_lookup_seconds = _Defined(
        Histogram, "Seconds of one lookup of many entities in the ledger.", buckets=_CALL_SECONDS
    )
    filter_entries = _Defined(Gauge, "Fingerprints in the seen filter.", label="partition")
    filter_bytes = _Defined(Gauge, "Memory of the seen filter in bytes, about.", label="partition")
    filter_build_seconds = _Defined(
        Histogram,
        "Seconds to fill the seen filter from the ledger when a partition is started.",
        buckets=_BUILD_SECONDS,
    )

    clickhouse_failing = _Defined(
        Gauge, "Failed attempts of the ClickHouse call in progress; 0 when ClickHouse answers."
    )
    rebalances_total = _Defined(
        Counter, "Rebalances: how often Kafka assigned partitions to this worker."
    )
    build_info = _Defined(
        Info,
        "Always 1; the label `registry` is the fingerprint of the worker's unit registry.",
    )

    def __init__(self) -> None:
        """Create all metrics."""
        self.registry = CollectorRegistry()
        for definition in _DEFINITIONS:
            definition.make(self)

    def count_records(self, counts: Counts, rejected: Iterable[Rejected] = ()) -> None:
        """Add the outcomes of records that were folded.

        Args:
            counts: number of records by outcome.
            rejected: the rejected ones among them.
        """
        outcomes = {
            "accepted": counts.accepted,
            "duplicate": counts.duplicates,
            "rejected": counts.rejected,
            "forwarded": counts.forwarded,
            "tick": counts.ticks,
        }
        for outcome, number in outcomes.items():
            self.records_total.labels(outcome).inc(number)
        self.corrections_total.inc(counts.corrections)
        for one in rejected:
            self.rejected_total.labels(one.reason).inc()

    def observe(self, state: WorkerState) -> None:
        """Set the gauges from a worker's state.

        A value that is unknown is not exported, rather than as an old value or 0; nor are
        partitions that the worker no longer has.
        """
        present = {str(one.partition) for one in state.partitions}
        for gauge in (self.filter_entries, self.filter_bytes):
            for partition in _partitions_of(gauge) - present:
                gauge.remove(partition)
        for gauge in (
            self.lag_records,
            self.lag_seconds,
            self.end_offset,
            self.durable_offset,
            self.released_offset,
            self.open_chunk_age_seconds,
        ):
            gauge.clear()
        for one in state.partitions:
            for gauge, value in (
                (self.lag_records, one.lag_records),
                (self.lag_seconds, one.lag_seconds(state.now)),
                (self.end_offset, one.end),
                (self.durable_offset, one.known_durable),
                (self.released_offset, one.released),
                (self.open_chunk_age_seconds, one.open_chunk_age_seconds(state.now)),
            ):
                if value is not None:
                    gauge.labels(str(one.partition)).set(value)
        self.clickhouse_failing.set(state.clickhouse_failing)
        self.build_info.info({"registry": state.registry})


_DEFINITIONS = tuple(one for one in vars(Telemetry).values() if isinstance(one, _Defined))

# All metrics, in the order of their definition.
CATALOGUE: tuple[Metric, ...] = tuple(one.described for one in _DEFINITIONS)


def _partitions_of(gauge: Gauge) -> set[str]:
    return {sample.labels["partition"] for metric in gauge.collect() for sample in metric.samples}
