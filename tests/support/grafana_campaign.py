"""Half a year of a simulated campaign in ClickHouse, with the oracle's figures beside it.

Set `EVENTS` higher to look at more: the figures compared are the same.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

from clickhouse_driver import Client

import reference
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from producers.simulator import SimulationOptions, simulate
from reference.defaults import default_dictionary, default_plan
from sinks.connection import connect
from sinks.dimensions import load_metrics, load_registry
from sinks.migrate import Schema, migrate
from sinks.plan import load_plan
from sinks.scopes import create_scoped_views
from tests.support import oracle
from tests.support.deployment import empty, until
from tests.support.folding import fold
from tests.support.grafana_sql import as_sent

EVENTS = 5_000
LAST = date(2022, 7, 31)
FIRST = LAST - timedelta(days=179)
ON = date(2022, 6, 24)


class Campaign:
    """The campaign in ClickHouse, and the oracle's figures of the same events."""

    def __init__(self, settings: Settings, events: list[dict]) -> None:
        self.settings = settings
        hierarchy = oracle.Hierarchy.read(Path(reference.registry_files()[0]).parent)
        self.figures = oracle.figures([dict(event) for event in events], hierarchy)
        self.progress = oracle.plan_progress(
            oracle.plan_status(oracle.completion_days(events), hierarchy, ON), hierarchy, ON
        )
        self.hierarchy = hierarchy
        self.grafana = connect(settings.clickhouse, "grafana")

    def query(
        self,
        sql: str,
        *,
        client: Client | None = None,
        days: int = 30,
        **variables: list[str] | str,
    ) -> list[dict]:
        """Rows of a query for the days up to `ON`."""
        last = datetime.combine(ON, datetime.min.time(), oracle.KOLKATA) + timedelta(
            hours=23, minutes=59
        )
        rows, columns = (client or self.grafana).execute(
            as_sent(sql, last - timedelta(days=days), last, variables), with_column_types=True
        )
        return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]


@contextmanager
def deploy_campaign(services: Settings) -> Iterator[Campaign]:
    """Fold the campaign. Reports are appended when sent, so that they can be late."""
    empty(services)
    registry = read_registry_files(reference.registry_files())
    schema = Schema(services.clickhouse.database)
    with connect(services.clickhouse, "writer", database="default") as client:
        list(migrate(client, schema))
        create_scoped_views(client, schema, services.clickhouse.scoped)
    options = SimulationOptions(events=EVENTS, first=FIRST, last=LAST, broken=0, wrong_key=0)
    events = [
        json.loads(delivery.value or b"")
        for delivery in simulate(registry, default_plan(), options)
    ]
    with connect(services.clickhouse, "writer") as client:
        load_metrics(client, schema, default_dictionary())
        load_plan(client, schema, default_plan(), author="test", reason="test")
        load_registry(client, schema, registry)
        fold(
            services.clickhouse,
            registry,
            events,
            appended_at=int(datetime(2022, 6, 24, 18, tzinfo=oracle.KOLKATA).timestamp() * 1000),
        )
        client.execute("SYSTEM REFRESH VIEW board_done_refresh")
        until(
            lambda: (
                client.execute("SELECT count() FROM board_done")
                == client.execute("SELECT count() FROM plan_done")
            ),
            "the board",
        )
        client.execute(
            "CREATE TABLE IF NOT EXISTS pulled_rollups (source LowCardinality(String), level"
            " LowCardinality(String), unit LowCardinality(String), metric LowCardinality(String),"
            " day Date, value Int64, verified_value Int64, page UInt64, deleted UInt8) ENGINE ="
            " ReplacingMergeTree(page, deleted) ORDER BY (source, level, metric, unit, day)"
        )
        client.execute(
            "INSERT INTO pulled_rollups SELECT 'CG', toString(level), unit, metric, day, value,"
            " verified_value, 1, 0 FROM rollups WHERE level = 'state'"
        )
    campaign = Campaign(services, events)
    yield campaign
    campaign.grafana.disconnect()
