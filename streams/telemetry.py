"""The metrics catalogue of the roll-up worker: every metric is named, typed and defined once, here. `docs/metrics.md` shows it as a table.

An attribute of `Telemetry` is called as its metric is, without the prefix `pravah_`: `Telemetry.records_total` is `pravah_records_total`. Names follow the Prometheus conventions:
base units (seconds, bytes), `_total` for counters, `_info` for facts.
"""

from collections.abc import Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    TypeVar,
    cast,
    get_args,
    overload,
)

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from rollup.validation import Reason

if TYPE_CHECKING:
    from streams.health import WorkerState

PREFIX = "pravah_"

Outcome = Literal["accepted", "duplicate", "rejected", "forwarded", "tick"]
"""What becomes of a record of the log."""

_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Buckets for one call of ClickHouse, whose time-out is 120 s."""
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
        """Say what it is; `values` are the label's values that stand at 0 from the start, so that the first increase is seen as one."""
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
        """Register it for one worker; from then on the instance's own attribute hides this one."""
        name = (PREFIX + self._name).removesuffix("_info")  # an Info puts it there itself
        made = self._kind(
            name, self._text, self._labels, registry=telemetry.registry, **self._options
        )
        for value in self._values:
            made.labels(value)
        telemetry.__dict__[self._name] = made


class Telemetry:
    """The metrics of one worker, in a registry of their own. Safe to use from several threads.

    Counters begin at 0 when the worker starts. A chunk that is folded again after a restart or a rebalance counts again: these figures watch the worker, they are no reports.
    """

    records_total = _Defined(
        Counter,
        "Records folded, by what became of them: accepted (a new version of an entity), duplicate (a known version), rejected (sent to activity.rejected), "
        "forwarded (sent to the partition of its unit), tick (only ends a quiet partition's chunk).",
        label="outcome",
        values=get_args(Outcome),
    )
    corrections_total = _Defined(
        Counter, "Accepted versions of an entity that had another version before."
    )
    rejected_total = _Defined(
        Counter,
        "Rejected records, by the reason that stands in the header `reason` of activity.rejected.",
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
        "Age in seconds of the oldest record that is in the log and not durable; 0 when all is durable. The uncommitted offset of an open chunk is no lag.",
        label="partition",
    )
    end_offset = _Defined(
        Gauge,
        "Offset behind the last record of the log, as the worker last heard it.",
        label="partition",
    )
    durable_offset = _Defined(
        Gauge, "Offset below which all records are in the figures in ClickHouse.", label="partition"
    )
    released_offset = _Defined(
        Gauge,
        "Offset below which all chunks are closed: the worker may commit it, and one that takes over begins there.",
        label="partition",
    )

    open_chunk_age_seconds = _Defined(
        Gauge,
        "Seconds since the open chunk was begun by this worker; no value without an open chunk. In a quiet partition hours are usual.",
        label="partition",
    )
    chunks_closed_total = _Defined(Counter, "Chunks closed.")
    chunks_mended_total = _Defined(
        Counter, "Closed chunks in which something of another attempt differed and was mended."
    )

    flush_seconds = _Defined(
        Histogram,
        "Seconds of one flush: all rows that changed since the last one, made durable.",
        buckets=_CALL_SECONDS,
    )
    insert_seconds = _Defined(
        Histogram,
        "Seconds of one insert into a table, with its repeats while ClickHouse was away.",
        label="table",
        buckets=_CALL_SECONDS,
    )
    rows_written_total = _Defined(Counter, "Rows inserted into a table.", label="table")

    ledger_lookups_total = _Defined(
        Counter, "Entities that the ledger was asked for, because the filter may have seen them."
    )
    ledger_found_total = _Defined(
        Counter,
        "Entities that the ledger was asked for and had; the others were chance hits of the filter, or of an earlier attempt at the chunk.",
    )
    ledger_lookup_seconds = _Defined(
        Histogram, "Seconds of one look-up of many entities in the ledger.", buckets=_CALL_SECONDS
    )
    filter_entries = _Defined(
        Gauge, "Fingerprints in the filter before the ledger.", label="partition"
    )
    filter_bytes = _Defined(
        Gauge, "Memory of the filter before the ledger, in bytes, about.", label="partition"
    )
    filter_build_seconds = _Defined(
        Histogram,
        "Seconds to fill the filter from the ledger when a partition is begun.",
        buckets=_BUILD_SECONDS,
    )

    clickhouse_failing = _Defined(
        Gauge, "Attempts of the ClickHouse call in progress that failed; 0 when ClickHouse answers."
    )
    rebalances_total = _Defined(Counter, "How often Kafka assigned partitions to this worker anew.")
    build_info = _Defined(
        Info,
        "Always 1; the label `registry` has the fingerprint of the unit registry under which the worker folds.",
    )

    def __init__(self) -> None:
        """Make every metric anew."""
        self.registry = CollectorRegistry()
        for definition in _DEFINITIONS:
            definition.make(self)

    def observe(self, state: "WorkerState") -> None:
        """Set what is read off a worker's state and not counted as it happens.

        What the state does not know has no value, rather than an old one or 0; the same goes for partitions that the worker no longer has.
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

CATALOGUE: tuple[Metric, ...] = tuple(one.described for one in _DEFINITIONS)
"""Every metric, in the order in which they are defined."""


def _partitions_of(gauge: Gauge) -> set[str]:
    return {sample.labels["partition"] for metric in gauge.collect() for sample in metric.samples}
