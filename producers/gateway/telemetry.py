"""The gateway's Prometheus metrics. `docs/metrics.md` shows this catalogue as a table.

Values per source are read from the gateway's file at each scrape, so they survive a restart, and
include pulls of other processes.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from producers.gateway.ingest import IngestService
from producers.gateway.schema import PullState
from producers.gateway.status import GatewayStatus, read_status


class Metric(NamedTuple):
    """A metric of the catalogue."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


REQUESTS = Metric(
    "pravah_gateway_requests_total",
    "counter",
    ("path", "status"),
    "Requests answered by this process.",
)
SECONDS = Metric(
    "pravah_gateway_request_seconds",
    "histogram",
    ("path",),
    "Seconds from the request's head to its response, including the flush to disk.",
)
ITEMS = Metric(
    "pravah_gateway_items_total",
    "counter",
    ("source", "outcome"),
    "Events sent to /v1/events and submissions of forms, by outcome: accepted, repeated, "
    "superseded (another unit has a higher version of the entity).",
)
REFUSED = Metric(
    "pravah_gateway_refused_total",
    "counter",
    ("source", "reason"),
    "Refused events, submissions, bodies and requests, by reason.",
)
REFUSED_BODIES = Metric(
    "pravah_gateway_refused_bodies",
    "gauge",
    ("source",),
    "Refused bodies that are neither corrected nor dropped.",
)
ACCEPTED_AT = Metric(
    "pravah_gateway_last_accepted_timestamp_seconds",
    "gauge",
    ("source",),
    "Time of the last accepted event or submission of a source.",
)
USUAL_GAP = Metric(
    "pravah_gateway_usual_gap_seconds",
    "gauge",
    ("source",),
    "Median time between a source's recent deliveries; no value while there are too few.",
)
SILENT = Metric(
    "pravah_gateway_silent",
    "gauge",
    ("source",),
    "1 if a source's silence exceeds the longest of its recent gaps and three usual gaps.",
)
PULLED_AT = Metric(
    "pravah_gateway_pull_succeeded_timestamp_seconds",
    "gauge",
    ("source",),
    "Time of the last completed pull of a source.",
)
PULL_TROUBLE = Metric(
    "pravah_gateway_pull_trouble",
    "gauge",
    ("source",),
    "1 if the last pull of a source failed.",
)
OUTBOX_EVENTS = Metric(
    "pravah_outbox_events", "gauge", (), "Events in the outbox, not yet confirmed by Kafka."
)
OUTBOX_BYTES = Metric("pravah_outbox_bytes", "gauge", (), "Bytes of these events.")
OUTBOX_OLDEST = Metric(
    "pravah_outbox_oldest_seconds",
    "gauge",
    (),
    "Age of the oldest of these events; 0 if there is none.",
)
HANDED_OVER = Metric("pravah_outbox_handed_over_total", "counter", (), "Events confirmed by Kafka.")
HANDED_OVER_AT = Metric(
    "pravah_outbox_handed_over_timestamp_seconds",
    "gauge",
    (),
    "Time of Kafka's last confirmation.",
)
TROUBLE = Metric("pravah_outbox_trouble", "gauge", (), "1 while the relay cannot deliver to Kafka.")
ARCHIVE_BYTES = Metric(
    "pravah_gateway_archive_bytes", "gauge", (), "Compressed bytes of archived bodies."
)
UNKNOWN_SENDERS = Metric(
    "pravah_gateway_unknown_senders_total",
    "counter",
    (),
    "Requests to /v1/events without the secret of a source.",
)

# Every metric of the gateway, in the order of the table.
CATALOGUE = [
    *(
        REQUESTS,
        SECONDS,
        ITEMS,
        REFUSED,
        REFUSED_BODIES,
        ACCEPTED_AT,
        USUAL_GAP,
        SILENT,
        PULLED_AT,
        PULL_TROUBLE,
    ),
    *(
        OUTBOX_EVENTS,
        OUTBOX_BYTES,
        OUTBOX_OLDEST,
        HANDED_OVER,
        HANDED_OVER_AT,
        TROUBLE,
        ARCHIVE_BYTES,
        UNKNOWN_SENDERS,
    ),
]


class Telemetry:
    """The metrics of one gateway process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            REQUESTS.name, REQUESTS.help, REQUESTS.labels, registry=self._registry
        )
        self._seconds = Histogram(
            SECONDS.name, SECONDS.help, SECONDS.labels, registry=self._registry
        )

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Count and time one request."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def exposition(self, ingest: IngestService) -> bytes:
        """All metrics in Prometheus' text format."""
        now = time.time()
        with ingest.store.open_read_only() as connection:
            status = read_status(connection, ingest.sources, now)
        registry = CollectorRegistry()
        registry.register(_Snapshot([*_families(status, now), *_pull_families(status.pulls)]))
        return generate_latest(self._registry) + generate_latest(registry)


class _Snapshot(Collector):
    """Values read at this scrape."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _families(status: GatewayStatus, now: float) -> Iterator[Family]:
    outbox = status.outbox
    yield _family(
        ITEMS,
        {
            (one.name, name): getattr(one, name)
            for one in status.sources
            for name in ("accepted", "repeated", "superseded")
        },
    )
    yield _family(
        REFUSED,
        {
            (one.name, reason): count
            for one in status.sources
            for reason, count in one.refused.items()
        },
    )
    yield _family(REFUSED_BODIES, {(one.name,): one.waiting for one in status.sources})
    yield _family(
        ACCEPTED_AT,
        {(one.name,): one.last_accepted for one in status.sources if one.last_accepted is not None},
    )
    yield _family(
        USUAL_GAP,
        {(one.name,): one.habit.median for one in status.sources if one.habit is not None},
    )
    yield _family(SILENT, {(one.name,): int(one.is_silent) for one in status.sources})
    yield _family(OUTBOX_EVENTS, {(): outbox.rows})
    yield _family(OUTBOX_BYTES, {(): outbox.bytes})
    yield _family(
        OUTBOX_OLDEST, {(): 0.0 if outbox.oldest_at is None else max(0.0, now - outbox.oldest_at)}
    )
    yield _family(HANDED_OVER, {(): outbox.handed_over})
    yield _family(
        HANDED_OVER_AT, {} if outbox.handed_over_at is None else {(): outbox.handed_over_at}
    )
    yield _family(TROUBLE, {(): int(bool(outbox.trouble))})
    yield _family(ARCHIVE_BYTES, {(): status.archive_bytes})
    yield _family(UNKNOWN_SENDERS, {(): status.unknown_senders})


def _pull_families(pulls: Mapping[str, PullState]) -> Iterator[Family]:
    yield _family(
        PULLED_AT,
        {
            (name,): state.succeeded_at
            for name, state in pulls.items()
            if state.succeeded_at is not None
        },
    )
    yield _family(
        PULL_TROUBLE, {(name,): int(bool(state.trouble)) for name, state in pulls.items()}
    )


def _family(metric: Metric, values: dict[tuple[str, ...], float]) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family
