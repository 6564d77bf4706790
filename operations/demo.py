"""Steps of the demo: send a simulated campaign, time single events, read the situation."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from clickhouse_driver import Client

from operations.worker_processes import StallWatch
from pravah.producer import EventProducer
from pravah.settings import Settings
from producers.simulator import SimulationOptions, simulate
from reference.defaults import default_plan
from schemas.registry import Registry
from sinks.lag import Lag

_PROGRESS_INTERVAL_S, _PROBE_INTERVAL_S = 0.2, 0.01

_SITUATION = """
    WITH now AS (
        SELECT a.ancestor AS unit, count() AS booths FROM unit_ancestors AS a
        INNER JOIN units AS u ON u.unit = a.unit AND u.level = 'booth'
        WHERE today() BETWEEN a.valid_from AND a.valid_to GROUP BY a.ancestor
    )
    SELECT u.level, u.unit, u.name_en, u.name_hi, any(now.booths),
           sumIf(t.value, t.metric = 'incharges'),
           sumIf(t.value, t.metric = 'whatsapp_groups'),
           sumIf(t.value, t.metric = 'whatsapp_group_members'),
           sumIf(t.value, t.metric = 'trainings'),
           sumIf(t.value, startsWith(t.metric, 'posts_')),
           sumIf(t.value, startsWith(t.metric, 'members_')),
           sum(t.verified_value) / nullIf(sum(t.value), 0)
    FROM totals AS t
    INNER JOIN units AS u ON u.unit = t.unit
    INNER JOIN now ON now.unit = u.unit
    WHERE u.level IN ('state', 'division', 'district')
      AND today() BETWEEN u.valid_from AND u.valid_to
    GROUP BY u.level, u.unit, u.name_en, u.name_hi
"""
_DIVISION_OF = """
    SELECT unit, ancestor FROM unit_ancestors
    WHERE ancestor_level = 'division' AND today() BETWEEN valid_from AND valid_to
"""
_PROBED_FIGURE = """
    SELECT sum(value) FROM totals
    WHERE level = 'state' AND unit = 'CG' AND metric = 'doors_visited'
"""
_COUNTS = ("records", "accepted", "duplicates", "rejected", "forwarded")


class CampaignProgress(NamedTuple):
    """How far a campaign is, in records."""

    sent: int
    in_figures: int
    end: int
    """Records in the log."""
    is_sent: bool
    """Whether all were sent."""


@dataclass(frozen=True)
class CampaignResult:
    """A campaign that is in the figures."""

    deliveries: Counter[str]
    """By sort."""
    seconds: float
    """From the first delivery sent until the last one was in the figures."""


def run_campaign(
    settings: Settings,
    client: Client,
    registry: Registry,
    options: SimulationOptions,
    on_progress: Callable[[CampaignProgress], None],
) -> CampaignResult:
    """Send a simulated campaign while a worker rolls it up, until all of it is in the figures.

    Args:
        settings: of the deployment.
        client: of ClickHouse.
        registry: whose units report.
        options: of the simulation.
        on_progress: called several times a second.

    Raises:
        StalledError: neither sending nor the roll-up makes progress.
        ProducerError: Kafka does not take the events.
    """
    sent: Counter[str] = Counter()
    failures: list[BaseException] = []

    def send() -> None:
        try:
            with EventProducer(settings.kafka) as producer:
                for delivery in simulate(registry, default_plan(), options):
                    producer.send_raw(delivery.value, delivery.key)
                    sent[delivery.sort] += 1
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    sender = threading.Thread(target=send, name="simulator")
    watch, began = StallWatch(), time.monotonic()
    with Lag(settings.kafka, client) as lag:
        sender.start()
        while True:
            is_sent = not sender.is_alive()
            position = lag.position()
            on_progress(CampaignProgress(sent.total(), position.durable, position.end, is_sent))
            if failures:
                raise failures[0]
            if is_sent and not position.behind:
                return CampaignResult(sent, time.monotonic() - began)
            watch.check(position.durable + sent.total(), "the roll-up")
            time.sleep(_PROGRESS_INTERVAL_S)


def probe_latency(settings: Settings, client: Client, count: int) -> Iterator[float]:
    """Send single events; yields the seconds until each one is in the view `totals`.

    Args:
        settings: of the deployment.
        client: of ClickHouse.
        count: of events.

    Raises:
        StalledError: an event does not arrive in the figures.
    """
    watch = StallWatch()
    with EventProducer(settings.kafka) as producer:
        for _ in range(count):
            before = client.execute(_PROBED_FIGURE)[0][0]
            began = time.monotonic()
            producer.send(
                {
                    "event_id": str(uuid4()),
                    "unit": "CG",
                    "kind": "tally",
                    "occurred_at": datetime.now(UTC).isoformat(),
                    "source": {"tool": "pravah", "producer": "demo"},
                    "data": {"metric": "doors_visited", "value": 1},
                }
            )
            producer.flush()
            while client.execute(_PROBED_FIGURE)[0][0] != before + 1:
                watch.check(before, "a single event")
                time.sleep(_PROBE_INTERVAL_S)
            yield time.monotonic() - began
    # A figure is there a moment before its ledger row, and both before the row in `chunks`.
    with Lag(settings.kafka, client) as lag:
        while lag.position().behind:
            watch.check(lag.position().durable, "the last single event")
            time.sleep(_PROBE_INTERVAL_S)


def record_counts(client: Client) -> dict[str, int]:
    """Number of records by outcome: accepted, duplicates, rejected, forwarded; and of all."""
    sums = ", ".join(f"sum({name})" for name in _COUNTS)
    return dict(zip(_COUNTS, client.execute(f"SELECT {sums} FROM chunks FINAL")[0], strict=True))


class Situation(NamedTuple):
    """State, divisions and districts with their figures to date."""

    rows: dict[str, tuple[Any, ...]]
    """Unit → (level, unit, name_en, name_hi, booths, figures …, verified share)."""
    divisions: dict[str, str]
    """Unit → the division above it today."""


def read_situation(client: Client) -> Situation:
    """Read the figures of the state, its divisions and its districts."""
    rows = {row[1]: row for row in client.execute(_SITUATION)}
    return Situation(rows, dict(client.execute(_DIVISION_OF)))
