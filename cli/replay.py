"""`pravah replay`: bring figures back from the log, and say what of the log cannot be counted any more."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import orjson
import typer
from clickhouse_driver import Client
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec

from cli.lag import Lag
from cli.progress import progress
from cli.workers import StallWatch, working
from schemas.topics import EVENTS
from settings import Settings
from settings.kafka import client_options
from sinks.connection import connect
from sinks.deployment import EVENTS_PARTITIONS, EVENTS_TOPIC, REGISTRY, check_log, forget_fact, get_fact
from sinks.migrate import Schema
from sinks.recount import closed_cut
from sinks.tables import CHUNKS
from stack.topics import identify

replay = typer.Typer(no_args_is_help=True, help="Bring figures back from the log, and say what of it cannot be counted any more.")

AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]
_SHARDED = ("ledger", "journal", "chunks")


class ReplayRefusedError(LookupError):
    """What was asked for would harm the figures; the message says what to do first."""


@replay.command()
def log(
    *,
    discard: Annotated[bool, typer.Option("--discard", help="Empty ledger, journal, chunks and repairs first.")] = False,
    what_is_left: Annotated[
        bool, typer.Option("--from-what-is-left", help="Go on although the log has lost its beginning: those records are in no figure then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild ledger, journal and figures from the log, under the registry in force.

    Stop all workers first. It runs one worker until everything that the log has now is in the figures. Repairs are not needed afterwards and are not kept: what was known before a
    change of the registry cannot be told after a rebuild.
    """
    settings = Settings()
    with connect(settings.clickhouse, "writer") as clickhouse, _admin(settings) as admin:
        _refuse_while_workers_run(admin, settings)
        begins = _begins(admin, settings)
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
        with Lag(settings.kafka, clickhouse) as lag, working(settings, settings.home / "logs" / "replay.log"):
            total = sum(lag.ends().values()) - sum(lost.values())
            watch = StallWatch()
            with progress("from the log / लॉग से", total, quiet=as_json) as advance:
                while (position := lag.position()).behind:
                    watch.check(position.durable, f"the replay (see {settings.home / 'logs' / 'replay.log'})")
                    advance(position.durable - records)
                    records = position.durable
                    time.sleep(0.2)
        ((accepted,),) = clickhouse.execute("SELECT count() FROM events")
    if as_json:
        typer.echo(
            orjson.dumps({"records": position.end, "lost": sum(lost.values()), "accepted": accepted, "seconds": round(time.monotonic() - began, 1)}).decode()
        )
    else:
        typer.echo(
            f"{position.end - sum(lost.values()):,} records folded, {accepted:,} versions accepted. Next: `pravah worker`, and `pravah reconcile` proves the figures"
        )


@replay.command()
def lost(
    *,
    reason: Annotated[str, typer.Option(help="What happened to the records, for those who ask later.")],
    yes: Annotated[bool, typer.Option("--yes", help="Say so in `chunks`. Without this it only shows what is gone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say of records that the log lost before they were counted for good that they cannot be counted, so that workers go on behind them.

    Stop all workers first. What an open chunk had made durable of them is taken out of the figures again: send those events anew from their sources.
    """
    settings = Settings()
    with connect(settings.clickhouse, "writer") as clickhouse, _admin(settings) as admin:
        _refuse_while_workers_run(admin, settings)
        counted, begins = closed_cut(clickhouse).offsets, _begins(admin, settings)
        gaps = {partition: (counted.get(partition, 0), begin) for partition, begin in begins.items() if begin > counted.get(partition, 0)}
        if yes:
            for partition, (first, behind) in gaps.items():
                _say_lost(clickhouse, partition, first, behind, reason)
    if as_json:
        told = [{"partition": partition, "first": first, "behind": behind} for partition, (first, behind) in gaps.items()]
        typer.echo(orjson.dumps({"lost": told, "said": yes}).decode())
        return
    for partition, (first, behind) in gaps.items():
        typer.echo(f"partition {partition}: offsets {first:,} to {behind - 1:,} are gone before they were counted for good ({behind - first:,} records)")
    typer.echo(("workers go on behind them" if yes else "nothing was written; add --yes to let workers go on behind them") if gaps else "nothing is lost")


@contextmanager
def _admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(**client_options(settings.kafka))
    try:
        yield admin
    finally:
        admin.close()


def _refuse_while_workers_run(admin: KafkaAdminClient, settings: Settings) -> None:
    members = admin.describe_groups([settings.consumer_group])[settings.consumer_group]["members"]
    if members:
        msg = f"{len(members)} workers of the group {settings.consumer_group!r} run; stop them first"
        raise ReplayRefusedError(msg)


def _begins(admin: KafkaAdminClient, settings: Settings) -> dict[int, int]:
    """Partition → the offset of the first record that the log still has."""
    _, partitions = identify(settings.kafka)
    found = admin.list_partition_offsets({TopicPartition(EVENTS, number): OffsetSpec.EARLIEST for number in range(partitions)})
    return {tp.partition: int(at.offset) for tp, at in found.items()}


def _empty(clickhouse: Client, settings: Settings, *, discard: bool) -> None:
    schema = Schema(settings.clickhouse.database, settings.clickhouse.cluster)
    full = [name for name in (*_SHARDED, "repairs") if clickhouse.execute(f"SELECT count() FROM {name}")[0][0]]
    if full and not discard:
        msg = f"{', '.join(full)} in ClickHouse are not empty; --discard empties them, and everything is counted again from the log"
        raise ReplayRefusedError(msg)
    for name in _SHARDED:
        clickhouse.execute(schema.truncate_table(name, sharded=True))
    clickhouse.execute(schema.truncate_table("repairs"))
    for fact in (EVENTS_TOPIC, EVENTS_PARTITIONS):
        forget_fact(clickhouse, fact)


def _say_lost(clickhouse: Client, partition: int, first: int, behind: int, reason: str) -> None:
    """Write a closed chunk without records, and take out what an open one had made durable of them."""
    where = {"partition": partition, "first": first, "behind": behind}
    clickhouse.execute(
        "INSERT INTO journal (level, metric, unit, day, partition, chunk, value, verified_value, reports, version) "
        "SELECT level, metric, unit, day, partition, chunk, 0, 0, 0, version + 1 FROM journal FINAL WHERE partition = %(partition)s AND chunk >= %(first)s AND chunk < %(behind)s",
        where,
    )
    clickhouse.execute(
        "INSERT INTO ledger (key, entity, version, partition, offset, correction, deleted) "
        "SELECT key, entity, version, partition, offset, correction + 1, 1 FROM ledger FINAL WHERE partition = %(partition)s AND offset >= %(first)s AND offset < %(behind)s",
        where,
    )
    now = datetime.now(UTC)
    registry = get_fact(clickhouse, REGISTRY) or ""
    row = (partition, first, uuid4(), f"lost: {reason}", registry, behind, 1, *(0,) * 5, *(now,) * 4)
    clickhouse.execute(f"INSERT INTO chunks ({', '.join(CHUNKS)}) VALUES", [row])
