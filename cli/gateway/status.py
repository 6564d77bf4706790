"""`pravah gateway status`: what came from whom, what became of it, and who is silent."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from pravah.days import KOLKATA
from pravah.settings import Settings
from producers.gateway import status as seen
from producers.gateway.sources import FieldSourcesError, field_sources
from producers.gateway.store import FILE, PullState, pulls, reading

_LENGTHS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False
) -> None:
    """Show what each source sent, what was refused, and how much waits for Kafka. A gateway need not run.

    Exit 1 if a source is silent for longer than is its habit, refused bodies wait to be mended, or nothing can be handed to Kafka.
    """
    settings = Settings()
    try:
        names = list(field_sources(settings.gateway_sources))
    except FieldSourcesError as error:  # what came can be told all the same
        typer.echo(f"warning: the sources cannot be read: {error}", err=True)
        names = []
    with reading(settings.home / "gateway" / FILE) as connection:
        found, pulled = seen.status(connection, names, time.time()), pulls(connection)
    is_well = (
        not found.outbox.trouble
        and not any(source.is_silent or source.waiting for source in found.sources)
        and not any(pull.trouble for pull in pulled.values())
    )
    if as_json:
        sources = [
            {
                **asdict(source),
                "is_silent": source.is_silent,
                "habit": source.habit._asdict() if source.habit else None,
            }
            for source in found.sources
        ]
        told = {
            "sources": sources,
            "pulls": {name: state._asdict() for name, state in pulled.items()},
            "outbox": found.outbox._asdict(),
        }
        typer.echo(
            orjson.dumps(
                {
                    **told,
                    "archive_bytes": found.archive_bytes,
                    "registry_at": found.registry_at,
                    "unknown_senders": found.unknown_senders,
                }
            ).decode()
        )
    else:
        _show(found, pulled)
    raise typer.Exit(0 if is_well else 1)


def _show(found: seen.Status, pulled: Mapping[str, PullState]) -> None:
    console = Console()
    table = Table(
        "source / स्रोत",
        "last accepted / पिछली स्वीकृति",
        "accepted / स्वीकृत",
        "repeated / दोहराव",
        "refused / अस्वीकृत",
        "to mend / सुधारने हैं",
        "silence / चुप्पी",
        "usual gap / सामान्य अंतर",
    )
    for source in found.sources:
        refused = ", ".join(
            f"{reason} {count:,}" for reason, count in sorted(source.refused.items())
        )
        table.add_row(
            source.name,
            _instant(source.last_accepted),
            f"{source.accepted:,}",
            f"{source.repeated + source.superseded:,}",
            refused or "0",
            f"{source.waiting:,}",
            f"[bold red]{_length(source.silence)} silent / चुप[/]"
            if source.is_silent
            else _length(source.silence),
            _length(source.habit.median if source.habit else None),
        )
    console.print(table)
    box = found.outbox
    oldest = f"; the oldest since / सबसे पुरानी {_instant(box.oldest_at)}" if box.oldest_at else ""
    console.print(
        f"waiting for Kafka / Kafka की प्रतीक्षा में: {box.rows:,} ({box.bytes:,} bytes){oldest}"
    )
    console.print(
        f"handed over / सौंपे गए: {box.handed_over:,}; last / पिछली बार: {_instant(box.handed_over_at)}"
    )
    if box.trouble:
        console.print(
            f"[red]cannot be handed over now / अभी सौंपना संभव नहीं:[/] {box.trouble}", highlight=False
        )
    for name, state in pulled.items():
        console.print(
            f"pull of {name}, last whole one / {name} से पिछली पूरी प्राप्ति: {_instant(state.succeeded_at)}",
            highlight=False,
        )
        if state.trouble:
            console.print(
                f"[red]pull of {name} failed / {name} से लाना विफल:[/] {state.trouble}",
                highlight=False,
            )
    if found.unknown_senders:
        console.print(
            f"requests with no source's secret / बिना सही कुंजी के अनुरोध: {found.unknown_senders:,}"
        )
    if any(source.waiting for source in found.sources):
        console.print(
            "`pravah gateway rejected list` shows what is to be mended / सुधारने योग्य सूची दिखाता है"
        )


def _instant(at: float | None) -> str:
    return "-" if at is None else f"{datetime.fromtimestamp(at, KOLKATA):%Y-%m-%d %H:%M:%S}"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return next(
        (f"{seconds / unit:.1f} {name}" for unit, name in _LENGTHS if seconds >= unit),
        f"{seconds:.0f} s",
    )
