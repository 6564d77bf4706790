"""`pravah replay lost`: say what of the log cannot be counted any more."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import orjson
import typer
from clickhouse_driver import Client

from cli.replay.log_at_rest import log_begins, no_worker_reads
from pravah.settings import Settings
from rollup.storage import CHUNKS
from sinks.connection import connect
from sinks.deployment import REGISTRY, get_fact
from sinks.recount import closed_cut


def lost(
    *,
    reason: Annotated[
        str, typer.Option(help="What happened to the records, for those who ask later.")
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Say so in `chunks`. Without this it only shows what is gone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Say of records that the log lost before they were counted for good that they cannot be counted, so that workers go on behind them.

    Stop all workers first. What an open chunk had made durable of them is taken out of the figures again: send those events anew from their sources.
    """
    settings = Settings()
    with no_worker_reads(settings) as admin, connect(settings.clickhouse, "writer") as clickhouse:
        counted, begins = closed_cut(clickhouse).offsets, log_begins(admin, settings)
        gaps = {
            partition: (counted.get(partition, 0), begin)
            for partition, begin in begins.items()
            if begin > counted.get(partition, 0)
        }
        if yes:
            for partition, (first, behind) in gaps.items():
                _say_lost(clickhouse, partition, first, behind, reason)
    if as_json:
        told = [
            {"partition": partition, "first": first, "behind": behind}
            for partition, (first, behind) in gaps.items()
        ]
        typer.echo(orjson.dumps({"lost": told, "said": yes}).decode())
        return
    for partition, (first, behind) in gaps.items():
        typer.echo(
            f"partition {partition}: offsets {first:,} to {behind - 1:,} are gone before they were counted for good ({behind - first:,} records)"
        )
    typer.echo(
        (
            "workers go on behind them"
            if yes
            else "nothing was written; add --yes to let workers go on behind them"
        )
        if gaps
        else "nothing is lost"
    )


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
    row = (
        partition,
        first,
        uuid4(),
        f"lost: {reason}",
        registry,
        behind,
        1,
        *(0,) * 5,
        *(now,) * 4,
    )
    clickhouse.execute(f"INSERT INTO chunks ({', '.join(CHUNKS)}) VALUES", [row])
