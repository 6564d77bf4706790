"""`pravah gateway status`: the state of every source, of pulls, and of the outbox."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import Words, say
from cli.tables import AsPlain, Cell, Column, print_table
from pravah.days import KOLKATA

if TYPE_CHECKING:
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
    print_table(SOURCE_COLUMNS, map(_source_row, found.sources))
    _print_outbox(found.outbox)
    _print_pulls(found.pulls)
    if found.unknown_senders:
        count = found.unknown_senders
        say(f"बिना सही कुंजी के अनुरोध: {count:,}", f"requests with no source's secret: {count:,}")
    if any(source.waiting for source in found.sources):
        say(
            "`pravah gateway rejected list` दिखाता है कि क्या सुधारना है",
            "`pravah gateway rejected list` shows what is to be corrected",
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
        Words(f"{silence} से चुप", f"silent for {silence}") if source.is_silent else silence,
        _duration(source.habit.median if source.habit else None),
    )


def _print_outbox(outbox: "OutboxDepth") -> None:
    oldest, oldest_hi = "", ""
    if outbox.oldest_at:
        oldest = f"; the oldest since {_instant(outbox.oldest_at)}"
        oldest_hi = f"; सबसे पुरानी {_instant(outbox.oldest_at)} से"
    say(
        f"Kafka की प्रतीक्षा में: {outbox.rows:,} ({outbox.bytes:,} बाइट){oldest_hi}",
        f"waiting for Kafka: {outbox.rows:,} ({outbox.bytes:,} bytes){oldest}",
    )
    last = _instant(outbox.handed_over_at)
    say(
        f"सौंपे गए: {outbox.handed_over:,}; पिछली बार: {last}",
        f"handed over: {outbox.handed_over:,}; last: {last}",
    )
    if outbox.trouble:
        say(
            f"अभी सौंपना संभव नहीं: {outbox.trouble}",
            f"cannot be handed over now: {outbox.trouble}",
            color="red",
        )


def _print_pulls(pulls: "Mapping[str, PullState]") -> None:
    for name, state in pulls.items():
        at = _instant(state.succeeded_at)
        say(f"{name} से पिछली पूरी प्राप्ति: {at}", f"pull of {name}, last complete one: {at}")
        if state.trouble:
            say(
                f"{name} से लाना विफल: {state.trouble}",
                f"pull of {name} failed: {state.trouble}",
                color="red",
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
