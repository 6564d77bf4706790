"""`pravah pull`: headquarters takes the figures of many states and keeps them current."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from cli.progress import Advance, progress
from pravah.settings import Settings
from replica.pull import Pulled
from replica.sources import sources_from_toml
from sinks.connection import connect


def pull(
    sources: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCES",
            help='TOML, a table a state: [CG] with url = "https://…" and token_env = "…" or token_file = "…".',
        ),
    ],
    *,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep Parquet files here, a folder a state: FOLDER/CG/rollups.parquet.",
        ),
    ] = None,
    into_clickhouse: Annotated[
        bool,
        typer.Option(
            "--into-clickhouse",
            help="Keep them in the table pulled_rollups of the ClickHouse of PRAVAH_CLICKHOUSE.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Take what changed since the last time, from every state, and hold the totals against the states' own.

    It can be killed at any moment and goes on where it was. Exit 1 if a state does not answer or a total differs.
    """
    from replica.pull import Puller, PullError
    from replica.store import ClickHouseCopy, ParquetCopy

    if (into is None) == (not into_clickhouse):
        msg = "say where to: either --into FOLDER or --into-clickhouse"
        raise typer.BadParameter(msg)
    results, failures = [], []
    for source in sources_from_toml(sources.read_text(encoding="utf-8")):
        client = None if into is not None else connect(Settings().clickhouse, "writer")
        copy = (
            ParquetCopy(into / source.name)
            if into is not None
            else ClickHouseCopy(client, source.name)
        )
        puller = Puller(source, copy)
        try:
            with progress(source.name, None, quiet=as_json) as advance:
                results.append(puller.pull(_report(advance)))
        except PullError as error:
            failures.append(str(error))
        finally:
            puller.close()
            if client is not None:
                client.disconnect()
    if as_json:
        typer.echo(
            orjson.dumps(
                {"sources": [asdict(one) for one in results], "failures": failures}
            ).decode()
        )
    else:
        table = Table("state", "pages", "figures that changed", "totals compared", "different")
        for one in results:
            different = "moving" if one.moving else f"{one.different:,}"
            table.add_row(
                one.source + (" (anew)" if one.began_anew else ""),
                f"{one.pages:,}",
                f"{one.rows:,}",
                f"{one.figures:,}",
                different,
            )
        Console().print(table)
        for failure in failures:
            typer.echo(f"error: {failure}", err=True)
    raise typer.Exit(1 if failures or any(one.different for one in results) else 0)


def _report(advance: Advance) -> Callable[[Pulled], None]:
    return lambda done: advance(0, f"{done.rows:,} figures")
