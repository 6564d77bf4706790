"""`pravah gateway status`: the state of every source, of pulls, and of the outbox."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.tables import AsPlain, Cell, Column, open_console, print_table
from pravah.days import KOLKATA

if TYPE_CHECKING:
    from rich.console import Console

    from producers.gateway.schema import PullState
    from producers.gateway.status import GatewayStatus, SourceStatus
    from producers.outbox import OutboxDepth

SOURCE_COLUMNS = (
    Column("source", "key"),
    Column("last_accepted", "day"),
    Column("accepted", "number", rank=1),
    Column("repeated", "number", rank=5),
    Column("refused", rank=2),
    Column("to_correct", "number"),
    Column("silence", "text", rank=3),
    Column("usual_gap", "key", rank=4),
)
_DURATIONS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    plain: AsPlain = False,
) -> None:
    """Show what each source sent, what was refused, and how many events wait for Kafka.

    Works without a running gateway. Exit 1 if a source is silent for longer than usual, refused
    bodies are neither corrected nor dropped, a pull failed, or Kafka cannot be reached.
    """
    import orjson

    from pravah.settings import Settings
    from producers.gateway.schema import gateway_file, open_read_only
    from producers.gateway.sources import FieldSourcesError, read_field_sources
    from producers.gateway.status import read_status

    settings = Settings()
    try:
        names = list(read_field_sources(settings.gateway_sources))
    except FieldSourcesError as error:  # the file has the counts all the same
        typer.echo(f"warning: the sources cannot be read: {error}", err=True)
        names = []
    with open_read_only(gateway_file(settings)) as connection:
        found = read_status(connection, names, time.time())
    if as_json:
        typer.echo(orjson.dumps(_to_json(found)).decode())
    elif plain:
        print_table(SOURCE_COLUMNS, map(_source_row, found.sources), plain=True)
    else:
        _print(found)
    raise typer.Exit(0 if found.is_healthy else 1)


def _to_json(found: "GatewayStatus") -> dict[str, Any]:
    sources = [
        {
            **asdict(source),
            "is_silent": source.is_silent,
            "habit": source.habit._asdict() if source.habit else None,
        }
        for source in found.sources
    ]
    return {
        "sources": sources,
        "pulls": {name: state._asdict() for name, state in found.pulls.items()},
        "outbox": found.outbox._asdict(),
        "archive_bytes": found.archive_bytes,
        "registry_at": found.registry_at,
        "unknown_senders": found.unknown_senders,
    }


def _print(found: "GatewayStatus") -> None:
    console = open_console()
    print_table(SOURCE_COLUMNS, map(_source_row, found.sources), console=console)
    _print_outbox(console, found.outbox)
    _print_pulls(console, found.pulls)
    if found.unknown_senders:
        console.print(
            f"requests with no source's secret / बिना सही कुंजी के अनुरोध: {found.unknown_senders:,}"
        )
    if any(source.waiting for source in found.sources):
        console.print(
            "`pravah gateway rejected list` shows what is to be corrected / सुधारने योग्य सूची दिखाता है"
        )


def _source_row(source: "SourceStatus") -> tuple[Cell, ...]:
    refused = ", ".join(f"{reason} {count:,}" for reason, count in sorted(source.refused.items()))
    silence = _duration(source.silence)
    return (
        source.name,
        _instant(source.last_accepted),
        source.accepted,
        source.repeated + source.superseded,
        refused or "0",
        source.waiting,
        f"{silence} silent / चुप" if source.is_silent else silence,
        _duration(source.habit.median if source.habit else None),
    )


def _print_outbox(console: "Console", outbox: "OutboxDepth") -> None:
    oldest = (
        f"; the oldest since / सबसे पुरानी {_instant(outbox.oldest_at)}" if outbox.oldest_at else ""
    )
    console.print(
        f"waiting for Kafka / Kafka की प्रतीक्षा में: {outbox.rows:,} ({outbox.bytes:,} bytes){oldest}"
    )
    console.print(
        f"handed over / सौंपे गए: {outbox.handed_over:,}; "
        f"last / पिछली बार: {_instant(outbox.handed_over_at)}"
    )
    if outbox.trouble:
        console.print(
            f"[red]cannot be handed over now / अभी सौंपना संभव नहीं:[/] {outbox.trouble}",
            highlight=False,
        )


def _print_pulls(console: "Console", pulls: "Mapping[str, PullState]") -> None:
    for name, state in pulls.items():
        console.print(
            f"pull of {name}, last complete one / {name} से पिछली पूरी प्राप्ति: "
            f"{_instant(state.succeeded_at)}",
            highlight=False,
        )
        if state.trouble:
            console.print(
                f"[red]pull of {name} failed / {name} से लाना विफल:[/] {state.trouble}",
                highlight=False,
            )


def _instant(at: float | None) -> str:
    return "-" if at is None else f"{datetime.fromtimestamp(at, KOLKATA):%Y-%m-%d %H:%M:%S}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return next(
        (f"{seconds / unit:.1f} {name}" for unit, name in _DURATIONS if seconds >= unit),
        f"{seconds:.0f} s",
    )
