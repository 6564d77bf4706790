"""The gateway's metrics: every one is named, typed and defined once, here. `docs/metrics.md` shows them as a table.

What is counted per source is read from the gateway's file when Prometheus asks, so it goes on after a restart and includes what pulls in other processes brought.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from producers.gateway.ingest import IngestService
from producers.gateway.status import Status, status
from producers.gateway.store import PullState, pulls


class Metric(NamedTuple):
    """One line of the catalogue."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


REQUESTS = Metric(
    "pravah_gateway_requests_total",
    "counter",
    ("path", "status"),
    "Requests that this process answered.",
)
SECONDS = Metric(
    "pravah_gateway_request_seconds",
    "histogram",
    ("path",),
    "Seconds from the request's head to its answer, the flush to the disk included.",
)
ITEMS = Metric(
    "pravah_gateway_items_total",
    "counter",
    ("source", "outcome"),
    "Events that came ready, and submissions of forms, by what became of them: accepted, repeated, superseded (a higher version stands under another unit).",
)
REFUSED = Metric(
    "pravah_gateway_refused_total",
    "counter",
    ("source", "reason"),
    "Events, submissions, bodies and requests that were refused, by reason.",
)
REFUSED_BODIES = Metric(
    "pravah_gateway_refused_bodies",
    "gauge",
    ("source",),
    "Bodies that were refused and are neither mended nor dropped.",
)
ACCEPTED_AT = Metric(
    "pravah_gateway_last_accepted_timestamp_seconds",
    "gauge",
    ("source",),
    "When something of a source was last accepted.",
)
USUAL_GAP = Metric(
    "pravah_gateway_usual_gap_seconds",
    "gauge",
    ("source",),
    "Median of the time between a source's last deliveries; no value while there are few.",
)
SILENT = Metric(
    "pravah_gateway_silent",
    "gauge",
    ("source",),
    "1 if a source has sent nothing for longer than it ever did of late and than three usual gaps.",
)
PULLED_AT = Metric(
    "pravah_gateway_pull_succeeded_timestamp_seconds",
    "gauge",
    ("source",),
    "When a pull of a source last came to its end.",
)
PULL_TROUBLE = Metric(
    "pravah_gateway_pull_trouble",
    "gauge",
    ("source",),
    "1 if the last pull of a source did not come to its end.",
)
OUTBOX_EVENTS = Metric(
    "pravah_outbox_events", "gauge", (), "Events on the disk that wait for Kafka."
)
OUTBOX_BYTES = Metric("pravah_outbox_bytes", "gauge", (), "The same in bytes.")
OUTBOX_OLDEST = Metric(
    "pravah_outbox_oldest_seconds",
    "gauge",
    (),
    "How long the oldest of them has waited; 0 if none waits.",
)
HANDED_OVER = Metric(
    "pravah_outbox_handed_over_total", "counter", (), "Events that Kafka has confirmed."
)
HANDED_OVER_AT = Metric(
    "pravah_outbox_handed_over_timestamp_seconds", "gauge", (), "When Kafka last confirmed some."
)
TROUBLE = Metric("pravah_outbox_trouble", "gauge", (), "1 while nothing can be handed over.")
ARCHIVE_BYTES = Metric(
    "pravah_gateway_archive_bytes", "gauge", (), "Kept bodies, as they are packed."
)
UNKNOWN_SENDERS = Metric(
    "pravah_gateway_unknown_senders_total",
    "counter",
    (),
    "Requests to /v1/events with no source's secret.",
)

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
"""Every metric of the gateway, in the order of the table."""


class Telemetry:
    """The metrics of one gateway process."""

    def __init__(self) -> None:
        """Begin to count."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            REQUESTS.name, REQUESTS.help, REQUESTS.labels, registry=self._registry
        )
        self._seconds = Histogram(
            SECONDS.name, SECONDS.help, SECONDS.labels, registry=self._registry
        )

    def answered(self, path: str, answer: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(path, answer).inc()
        self._seconds.labels(path).observe(seconds)

    def exposition(self, reception: IngestService) -> bytes:
        """Everything as Prometheus reads it."""
        now = time.time()
        with reception.store.reading() as connection:
            found, pulled = status(connection, reception.sources, now), pulls(connection)
        registry = CollectorRegistry()
        registry.register(_Now([*_families(found, now), *_pull_families(pulled)]))
        return generate_latest(self._registry) + generate_latest(registry)


class _Now(Collector):
    """Values that were read just now."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _families(found: Status, now: float) -> Iterator[Family]:
    outbox = found.outbox
    yield _family(
        ITEMS,
        {
            (one.name, name): getattr(one, name)
            for one in found.sources
            for name in ("accepted", "repeated", "superseded")
        },
    )
    yield _family(
        REFUSED,
        {
            (one.name, reason): count
            for one in found.sources
            for reason, count in one.refused.items()
        },
    )
    yield _family(REFUSED_BODIES, {(one.name,): one.waiting for one in found.sources})
    yield _family(
        ACCEPTED_AT,
        {(one.name,): one.last_accepted for one in found.sources if one.last_accepted is not None},
    )
    yield _family(
        USUAL_GAP, {(one.name,): one.habit.median for one in found.sources if one.habit is not None}
    )
    yield _family(SILENT, {(one.name,): int(one.is_silent) for one in found.sources})
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
    yield _family(ARCHIVE_BYTES, {(): found.archive_bytes})
    yield _family(UNKNOWN_SENDERS, {(): found.unknown_senders})


def _pull_families(pulled: Mapping[str, PullState]) -> Iterator[Family]:
    yield _family(
        PULLED_AT,
        {
            (name,): state.succeeded_at
            for name, state in pulled.items()
            if state.succeeded_at is not None
        },
    )
    yield _family(
        PULL_TROUBLE, {(name,): int(bool(state.trouble)) for name, state in pulled.items()}
    )


def _family(metric: Metric, values: dict[tuple[str, ...], float]) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family
