"""`pravah replay log`, `pravah replay ledger`: make the figures anew from what lies before them."""

import threading
import time
from contextlib import closing
from typing import Annotated

import orjson
import typer
from clickhouse_driver import Client

from cli.progress import progress
from cli.replay.log_at_rest import ReplayRefusedError, log_begins, no_worker_reads
from operations.bootstrap import default_dictionary
from operations.worker_processes import StallWatch, running_worker
from pravah.settings import Settings
from producers.topics.registry import read_registry
from rollup.rebuild import Span, rebuild_chunks
from rollup.storage import EntityLookup
from rollup.version_columns import Encodings
from sinks.connection import connect
from sinks.deployment import (
    EVENTS_PARTITIONS,
    EVENTS_TOPIC,
    REGISTRY,
    check_log,
    forget_fact,
    get_fact,
    tell_rebuilt,
)
from sinks.lag import Lag
from sinks.migrate import Schema
from sinks.rebuild import accepted_versions, chunk_spans, ledger_partitions, next_journal
from sinks.rollup_store import RollupStore
from stack.topics import identify

_SHARDED = ("ledger", "journal", "chunks")
AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]


def from_log(
    *,
    discard: Annotated[
        bool, typer.Option("--discard", help="Empty ledger, journal, chunks and repairs first.")
    ] = False,
    what_is_left: Annotated[
        bool,
        typer.Option(
            "--from-what-is-left",
            help="Go on although the log has lost its beginning: those records are in no figure then.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild ledger, journal and figures from the log, under the registry in force.

    Stop all workers first. It runs one worker until everything that the log has now is in the figures. Repairs are not needed afterwards and are not kept: what was known before a
    change of the registry cannot be told after a rebuild.
    """
    settings = Settings()
    with no_worker_reads(settings) as admin, connect(settings.clickhouse, "writer") as clickhouse:
        begins = log_begins(admin, settings)
        lost = {partition: offset for partition, offset in begins.items() if offset}
        if lost and not what_is_left:
            msg = f"the log has lost {sum(lost.values()):,} records of partitions {', '.join(map(str, lost))}; --from-what-is-left counts without them"
            raise ReplayRefusedError(msg)
        _empty(clickhouse, settings, discard=discard)
        if settings.consumer_group in {group["group_id"] for group in admin.list_groups()}:
            admin.delete_groups([settings.consumer_group])
        identity, partitions = identify(settings.kafka)
        check_log(clickhouse, topic=identity, partitions=partitions)
        began, records = time.monotonic(), 0
        with (
            Lag(settings.kafka, clickhouse) as lag,
            running_worker(settings, settings.home / "logs" / "replay.log"),
        ):
            total = sum(lag.ends().values()) - sum(lost.values())
            watch = StallWatch()
            with progress("from the log / लॉग से", total, quiet=as_json) as advance:
                while (position := lag.position()).behind:
                    watch.check(
                        position.durable,
                        f"the replay (see {settings.home / 'logs' / 'replay.log'})",
                    )
                    advance(position.durable - records)
                    records = position.durable
                    time.sleep(0.2)
        ((accepted,),) = clickhouse.execute("SELECT count() FROM events")
    if as_json:
        typer.echo(
            orjson.dumps(
                {
                    "records": position.end,
                    "lost": sum(lost.values()),
                    "accepted": accepted,
                    "seconds": round(time.monotonic() - began, 1),
                }
            ).decode()
        )
    else:
        typer.echo(
            f"{position.end - sum(lost.values()):,} records folded, {accepted:,} versions accepted. Next: `pravah worker`, and `pravah reconcile` proves the figures"
        )


def from_ledger(*, as_json: AsJson = False) -> None:
    """Rebuild journal and figures from ledger and chunks, without the log, under the registry in force.

    Stop all workers first. What was accepted is folded again, chunk by chunk; the new journal takes the old one's place when it is complete, so whoever reads figures meanwhile finds the old
    ones. Repairs are not needed afterwards and are not kept: what was known before a change of the registry cannot be told after a rebuild.
    """
    settings = Settings()
    schema, began = (
        Schema(settings.clickhouse.database, settings.clickhouse.cluster),
        time.monotonic(),
    )
    with (
        no_worker_reads(settings),
        connect(settings.clickhouse, "writer") as reader,
        connect(settings.clickhouse, "writer") as writer,
    ):
        registry = read_registry(settings.kafka)
        if registry is None or registry.fingerprint() != get_fact(writer, REGISTRY):
            msg = "the registry in Kafka is not the one that ClickHouse has; load it again first: `pravah units load`"
            raise ReplayRefusedError(msg)
        spans, versions, encodings = (
            chunk_spans(writer),
            ledger_partitions(writer),
            Encodings.of(registry, default_dictionary()),
        )
        store = RollupStore(settings.clickhouse, threading.Event())
        with (
            closing(store),
            next_journal(writer, schema) as journal,
            progress("from the ledger / खाते से", sum(versions.values()), quiet=as_json) as advance,
        ):
            for partition in sorted(spans.keys() | versions.keys()):
                chunks = rebuild_chunks(
                    partition,
                    [Span(*span) for span in spans.get(partition, ())],
                    accepted_versions(reader, partition),
                    lambda offset, entities, partition=partition: store.find_versions(
                        [EntityLookup(partition, offset, entities)]
                    )[0],  # type: ignore[misc]
                    encodings=encodings,
                    filter_bits=settings.filter_bits,
                )
                for chunk in chunks:
                    journal.write(chunk.take_unwritten().journal)
                    advance(chunk.counts.accepted)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        typer.echo(
            orjson.dumps(
                {"versions": sum(versions.values()), "entries": journal.entries, "seconds": seconds}
            ).decode()
        )
    else:
        typer.echo(
            f"{sum(versions.values()):,} versions folded, {journal.entries:,} entries written in {seconds} s. Next: `pravah worker`, and `pravah reconcile` proves the figures"
        )


def _empty(clickhouse: Client, settings: Settings, *, discard: bool) -> None:
    schema = Schema(settings.clickhouse.database, settings.clickhouse.cluster)
    full = [
        name
        for name in (*_SHARDED, "repairs")
        if clickhouse.execute(f"SELECT count() FROM {name}")[0][0]
    ]
    if full and not discard:
        msg = f"{', '.join(full)} in ClickHouse are not empty; --discard empties them, and everything is counted again from the log"
        raise ReplayRefusedError(msg)
    for name in (*_SHARDED, "plan_events", "membership_events", "rejected_records"):
        clickhouse.execute(schema.truncate_table(name, sharded=True))
    clickhouse.execute(schema.truncate_table("repairs"))
    for fact in (EVENTS_TOPIC, EVENTS_PARTITIONS):
        forget_fact(clickhouse, fact)
    tell_rebuilt(clickhouse)
