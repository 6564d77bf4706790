"""ClickHouse's own Kafka engine: a table that reads the log, and views that write to it.

    python benchmarks/peers/clickhouse_engine.py --create --run ID [--no-ledger]
    python benchmarks/peers/clickhouse_engine.py --run ID --seconds 15 [--no-ledger]

The views write the ledger and the figures of all levels; no separate program runs. `peer.py`
describes a run. Here it begins when the table is created, and ends when the group's committed
offsets are at the end of the log: the engine commits after both views have written a block. The
engine runs in the server and continues when this process is killed; to kill the engine, kill the
server. It may then count a block twice, because offsets and figures are not written together.

    log (Kafka) ── read ──> ledger (MergeTree) ── count ──> figures (SummingMergeTree)

Written as an expert in ClickHouse would: two consumers with a thread each; a message is read raw
(RawBLOB) and parsed once, column by column, which costs less than a fifth of JSONEachRow with so
many columns; one look-up in a hash table for each event, because all metrics are summed side by
side; ancestors, from a dictionary in memory, are joined to the sums. The ledger has every event as
columns; `--no-ledger` omits it and the columns that only it needs.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from clickhouse_driver import Client
from kafka import KafkaAdminClient

import reference
from benchmarks.peers.peer import ADDITIVE, Progress, table
from pravah.kafka import client_options
from pravah.settings import ClickHouseSettings, Settings
from pravah.topics import EVENTS
from schemas.metrics import Metric, MetricDictionary
from sinks.connection import RetryingSession, connect

NAME = "clickhouse_engine"
FIGURES = table(NAME)
LEDGER = f"bench_ledger_{NAME}"
LOG, READ, COUNT, ANCESTORS = (
    f"bench_{part}_{NAME}" for part in ("log", "read", "count", "ancestors")
)

_NAME = "LowCardinality(String)"
_TIME = "DateTime64(3, 'Asia/Kolkata')"
_DATA = f"""Tuple(
    platform {_NAME}, posts Int64, reach Int64, engagements Int64, mode {_NAME}, count Int64,
    member_keys Array(String), group_type {_NAME}, members Int64, active Nullable(Bool),
    programme {_NAME}, attendees Int64, trained_units Array(String), role {_NAME}, person String,
    metric {_NAME}, value Int64
)"""
# Columns that figures need.
_COUNTED = {"unit": _NAME, "kind": _NAME, "occurred_at": _TIME, "data": _DATA}
# Columns of a ledger of every event.
_RAW = {
    "event_id": "String",
    "entity": "String",
    "version": "UInt64",
    "op": _NAME,
    **_COUNTED,
    "reported_at": f"Nullable({_TIME})",
    "source": f"Tuple(tool {_NAME}, producer {_NAME})",
    "reporter": "String",
    "evidence": "String",
    "verification": _NAME,
}
_PARSED = {
    "occurred_at": "parseDateTime64BestEffortOrZero(event.occurred_at, 3, 'Asia/Kolkata')",
    "reported_at": "parseDateTime64BestEffortOrNull(event.reported_at, 3, 'Asia/Kolkata')",
}
# An event without data is not counted: a field that the data must have, by those kinds whose
# metrics count events.
_HAS_DATA = {
    "incharge_appointed": "data.role != ''",
    "committee_formed": "data.members != 0",
    "training_held": "data.programme != ''",
}
_POLL_SECONDS = 0.05


def main() -> None:
    """Create the tables, or let the engine read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True, metavar="ID", help="name of the consumer group")
    parser.add_argument("--seconds", type=float, default=15.0, help="maximum time of reading")
    parser.add_argument("--create", action="store_true", help="recreate its tables, and end")
    parser.add_argument("--no-ledger", dest="ledger", action="store_false", help="only figures")
    parser.add_argument("--consumers", type=int, default=2)
    options = parser.parse_args()
    settings = Settings()
    if options.create:
        with connect(settings.clickhouse, "writer") as client:
            create(client, settings.clickhouse, ledger=options.ledger)
    else:
        run(settings, options)


def create(client: Client, clickhouse: ClickHouseSettings, *, ledger: bool) -> None:
    """Recreate the tables that are written to, and the dictionary."""
    drop(
        client,
        f"TABLE {LOG}",
        f"VIEW {READ}",
        f"VIEW {COUNT}",
        f"DICTIONARY {ANCESTORS}",
        f"TABLE {LEDGER}",
        f"TABLE {FIGURES}",
    )
    columns = ", ".join(f"{name} {kind}" for name, kind in (_RAW if ledger else _COUNTED).items())
    storage = "MergeTree ORDER BY (unit, occurred_at)" if ledger else "Null"
    client.execute(f"CREATE TABLE {LEDGER} ({columns}) ENGINE = {storage}")
    client.execute(f"CREATE TABLE {FIGURES} {ADDITIVE}")
    account = clickhouse.users["writer"]
    query = f"""
        SELECT unit,
            groupArray(ancestor_level::String) AS levels, groupArray(ancestor::String) AS ancestors,
            groupArray(valid_from) AS firsts, groupArray(valid_to) AS lasts
        FROM {clickhouse.database}.unit_ancestors GROUP BY unit
    """
    client.execute(
        f"CREATE DICTIONARY {ANCESTORS} (unit String, levels Array(String), "
        "ancestors Array(String), firsts Array(Date), lasts Array(Date)) PRIMARY KEY unit "
        "SOURCE(CLICKHOUSE(USER %(user)s PASSWORD %(password)s QUERY %(query)s)) "
        "LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
        {"user": account.user, "password": account.password.get_secret_value(), "query": query},
    )
    # a dictionary is loaded by its first use
    client.execute(f"SELECT dictGet('{clickhouse.database}.{ANCESTORS}', 'levels', 'IN')")


def drop(client: Client, *names: str) -> None:
    """Drop tables, views and dictionaries if they exist."""
    for name in names:
        client.execute(f"DROP {name.replace(' ', ' IF EXISTS ', 1)} SYNC")


def engine_statements(
    settings: Settings, group: str, *, ledger: bool, consumers: int
) -> Iterator[str]:
    """The statements that start the engine.

    The view of the log comes last, because the engine begins to read with its first view.
    """
    dictionary = MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))
    count = counting_query(LEDGER, f"{settings.clickhouse.database}.{ANCESTORS}", dictionary)
    yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {COUNT} TO {FIGURES} AS {count}"
    yield f"""
        CREATE TABLE IF NOT EXISTS {LOG} (message String) ENGINE = Kafka SETTINGS
            kafka_broker_list = '{settings.kafka.bootstrap_servers}',
            kafka_topic_list = '{EVENTS}', kafka_group_name = '{group}', kafka_format = 'RawBLOB',
            kafka_num_consumers = {consumers}, kafka_thread_per_consumer = 1,
            kafka_flush_interval_ms = 1000, kafka_max_block_size = 524288,
            kafka_poll_max_batch_size = 65536
    """
    parse = parsing_query(LOG, _RAW if ledger else _COUNTED)
    yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {READ} TO {LEDGER} AS {parse}"


def parsing_query(log: str, columns: dict[str, str]) -> str:
    """Build the query that parses messages. A message that is not JSON gives empty columns."""
    extracted = ", ".join(
        f"{name} {'String' if name in _PARSED else kind}" for name, kind in columns.items()
    ).replace("'", "\\'")
    chosen = ", ".join(f"{_PARSED.get(name, f'event.{name}')} AS {name}" for name in columns)
    event = f"JSONExtract(message, 'Tuple({extracted})')"
    return f"SELECT {chosen} FROM (SELECT {event} AS event FROM {log})"


def counting_query(events: str, ancestors: str, dictionary: MetricDictionary) -> str:
    """Build the query that counts events.

    It sums the metrics side by side by unit and day, joins the ancestors of the day, and makes a
    row for each metric.
    """
    metrics = list(dictionary.metrics.values())
    sums = ", ".join(
        f"{amount_expression(metric)} AS m{number}" for number, metric in enumerate(metrics)
    )
    names = ", ".join(f"'{metric.metric}'" for metric in metrics)
    totals = ", ".join(f"sum(m{number}) AS m{number}" for number in range(len(metrics)))
    values = ", ".join(f"toInt64(m{number})" for number in range(len(metrics)))
    spans = ", ".join(
        f"dictGet('{ancestors}', '{name}', reporting)"
        for name in ("levels", "ancestors", "firsts", "lasts")
    )
    return f"""
        SELECT level, unit, metric, day, value FROM (
            SELECT span.1 AS level, span.2 AS unit, day, {totals}
            FROM (
                SELECT unit::String AS reporting, toDate(occurred_at) AS day, {sums}
                FROM {events} WHERE occurred_at != toDateTime64(0, 3) GROUP BY reporting, day
            ) ARRAY JOIN arrayZip({spans}) AS span
            WHERE day BETWEEN span.3 AND span.4 GROUP BY level, unit, day
        ) ARRAY JOIN [{names}] AS metric, [{values}] AS value
        WHERE value != 0
    """


def amount_expression(metric: Metric) -> str:
    """Build the expression that sums the amounts of a metric."""
    source = metric.source
    conditions = [
        f"kind = '{source.kind}'",
        *(f"data.{name} = '{value}'" for name, value in source.where.items()),
    ]
    field = source.field
    if source.kind == "tally":
        field = "value"
        conditions.append(f"data.metric = '{metric.metric}'")
    elif metric.type == "stock":
        conditions.append("ifNull(data.active, true)")
    if not field and not source.where:
        conditions.append(_HAS_DATA[source.kind])
    wanted = " AND ".join(conditions)
    return f"sumIf(data.{field}, {wanted})" if field else f"countIf({wanted})"


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Let the engine read to the end of the run, and print the result.

    If the server is restarted meanwhile, the queries wait for it.
    """
    session = RetryingSession(settings.clickhouse, "writer", threading.Event())
    admin = KafkaAdminClient(**client_options(settings.kafka))
    progress = Progress.of(settings.kafka, options.seconds, options.run)
    before = committed(admin, options.run)
    for statement in engine_statements(
        settings, options.run, ledger=options.ledger, consumers=options.consumers
    ):
        session.run(partial(execute, statement))
    fetched_so_far = (
        f"SELECT sum(num_messages_read) FROM system.kafka_consumers WHERE table = '{LOG}'"
    )
    while not progress.is_over:
        time.sleep(_POLL_SECONDS)
        if not progress.began:
            ((fetched,),) = session.run(partial(execute, fetched_so_far))
            if fetched:
                progress.begin()
        else:
            before = advance(progress, before, committed(admin, options.run))
    if progress.ends:  # the time is up: dropping the table ends the blocks that were begun
        session.run(lambda client: drop(client, f"TABLE {LOG}"))
        advance(progress, before, committed(admin, options.run))
    progress.print_result()
    session.run(lambda client: drop(client, f"VIEW {READ}", f"TABLE {LOG}", f"VIEW {COUNT}"))
    session.close()
    admin.close()


def execute(statement: str, client: Client) -> Any:
    """Execute a statement."""
    return client.execute(statement)


def advance(progress: Progress, before: dict[int, int], now: dict[int, int]) -> dict[int, int]:
    """Report new offsets to the progress, and return them."""
    for partition, offset in now.items():
        progress.read(partition, offset, offset - before.get(partition, 0))
    return now


def committed(admin: KafkaAdminClient, group: str) -> dict[int, int]:
    """Read the committed offsets of a group, by partition."""
    found = admin.list_group_offsets([group])[group]
    return {
        partition.partition: at.offset
        for partition, at in found.items()
        if partition.topic == EVENTS and at.offset >= 0
    }


if __name__ == "__main__":
    main()
