"""`pravah pull`: keep a copy of many states' figures current."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.tables import AsPlain, Column, print_table

if TYPE_CHECKING:
    from cli.progress import Advance
    from replica.sources import Source

if TYPE_CHECKING:
    from replica.pull import PullResult

COLUMNS = (
    Column("state", "key"),
    Column("pages", "number", rank=1),
    Column("figures_changed", "number"),
    Column("totals_compared", "number"),
    Column("different", "number"),
)


def pull(
    sources: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCES",
            help="TOML file with a table per state: "
            '[CG] with url = "https://…" and token_env = "…" or token_file = "…".',
        ),
    ],
    *,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep Parquet files in this folder, one folder per state: "
            "FOLDER/CG/rollups.parquet.",
        ),
    ] = None,
    into_clickhouse: Annotated[
        bool,
        typer.Option(
            "--into-clickhouse",
            help="Keep the figures in the table pulled_rollups of the ClickHouse of "
            "PRAVAH_CLICKHOUSE.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    plain: AsPlain = False,
) -> None:
    """Pull what changed since the last pull from every state, and compare totals with its own.

    It can be killed at any moment; the next pull continues. Exit 1 if a state does not answer or a
    total differs.
    """
    import orjson

    from cli.progress import progress
    from replica.pull import PullError
    from replica.sources import sources_from_toml

    if (into is None) == (not into_clickhouse):
        msg = "give a destination: either --into FOLDER or --into-clickhouse"
        raise typer.BadParameter(msg)
    results, failures = [], []
    for source in sources_from_toml(sources.read_text(encoding="utf-8")):
        try:
            with progress(source.name, None, quiet=as_json) as advance:
                results.append(_pull(source, into, _show_rows(advance)))
        except PullError as error:
            failures.append(str(error))
    if as_json:
        typer.echo(
            orjson.dumps(
                {"sources": [asdict(one) for one in results], "failures": failures}
            ).decode()
        )
    else:
        _print(results, failures, plain=plain)
    raise typer.Exit(1 if failures or any(one.different for one in results) else 0)


def _pull(
    source: "Source", into: Path | None, on_page: Callable[["PullResult"], None]
) -> "PullResult":
    from pravah.settings import Settings
    from replica.pull import Puller
    from replica.store import ClickHouseCopy, ParquetCopy
    from sinks.connection import connect

    client = None if into is not None else connect(Settings().clickhouse, "writer")
    try:
        copy = (
            ParquetCopy(into / source.name)
            if into is not None
            else ClickHouseCopy(client, source.name)
        )
        puller = Puller(source, copy)
        try:
            return puller.pull(on_page)
        finally:
            puller.close()
    finally:
        if client is not None:
            client.disconnect()


def _print(results: list["PullResult"], failures: list[str], *, plain: bool) -> None:
    rows = [
        (
            one.source + (" (anew)" if one.began_anew else ""),
            one.pages,
            one.rows,
            one.figures,
            "moving" if one.moving else one.different,
        )
        for one in results
    ]
    print_table(COLUMNS, rows, plain=plain)
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)


def _show_rows(advance: "Advance") -> Callable[["PullResult"], None]:
    return lambda result: advance(0, f"{result.rows:,} figures")
