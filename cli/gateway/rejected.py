"""`pravah gateway rejected` and `replay`: archived bodies, shown, corrected and sent again."""

from collections import Counter
from contextlib import AbstractContextManager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import say
from cli.options import read_day
from cli.tables import AsPlain, Column, print_table
from pravah.days import KOLKATA

if TYPE_CHECKING:
    from producers.gateway.archive import ArchivedBody
    from producers.gateway.ingest import IngestService
    from producers.gateway.resubmission import ResubmitResult

rejected = typer.Typer(
    no_args_is_help=True,
    help="Bodies that the gateway refused: show, correct, send again, or drop them.",
)

BodyNumbers = Annotated[
    list[int], typer.Argument(metavar="NUMBER …", help="As `rejected list` shows them.")
]
SourceOption = Annotated[str | None, typer.Option("--source", help="Only of this source.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only with this reason.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

REJECTED_COLUMNS = (
    Column("number", "key"),
    Column("last_came", "day", rank=1),
    Column("source", "key"),
    Column("times", "number", rank=2),
    Column("reason", "key"),
    Column("detail"),
)
_FLUSH_TIMEOUT_S = 10.0
# Bodies that are still refused, printed one per line; `--json` prints all.
_MAX_LINES = 20


@rejected.command("list")
def list_rejected(
    *,
    source: SourceOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number, the newest ones.")] = 50,
    as_json: JsonOption = False,
    plain: AsPlain = False,
) -> None:
    """List refused bodies that are neither corrected nor dropped, the newest last.

    Exit 1 if there are any.
    """
    import orjson

    from producers.gateway import resubmission

    total, bodies = resubmission.newest_refused(_file(), source, reason, limit)
    if as_json:
        listed = {"total": total, "rejected": [_to_json(one) for one in bodies]}
        typer.echo(orjson.dumps(listed).decode())
        raise typer.Exit(1 if total else 0)
    rows = [
        (
            str(one.id),
            f"{one.at.astimezone(KOLKATA):%Y-%m-%d %H:%M}",
            one.source,
            one.times,
            one.reason,
            one.detail,
        )
        for one in bodies
    ]
    print_table(REJECTED_COLUMNS, rows, plain=plain)
    shown, shown_hi = "", ""
    if total > len(bodies):
        shown, shown_hi = (
            f", the newest {len(bodies):,} shown",
            f", सबसे नए {len(bodies):,} दिखाए गए",
        )
    say(f"{total:,} अस्वीकृत{shown_hi}", f"{total:,} refused{shown}", err=plain)
    raise typer.Exit(1 if total else 0)


@rejected.command("show")
def show(
    number: Annotated[int, typer.Argument(help="As `rejected list` shows it.")],
    *,
    to: Annotated[
        Path | None, typer.Option(help="Write the body to this file, to correct it there.")
    ] = None,
) -> None:
    """Show an archived body as it came. It may hold names and phone numbers."""
    import orjson

    from producers.gateway import resubmission

    body = resubmission.find_body(_file(), number)
    typer.echo(orjson.dumps(_to_json(body), option=orjson.OPT_INDENT_2).decode(), err=True)
    if to is None:
        typer.echo(body.body.decode("utf-8", "replace"))
        return
    to.touch(mode=0o600)
    to.write_bytes(body.body)
    typer.echo(
        f"written to {to}; correct it, then: pravah gateway rejected send {number} --body {to}",
        err=True,
    )


@rejected.command("send")
def send(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="[NUMBER …]", help="As `rejected list` shows them; none: all."),
    ] = None,
    *,
    body: Annotated[
        Path | None,
        typer.Option(
            help="The corrected body of the number that is given.", exists=True, dir_okay=False
        ),
    ] = None,
    source: SourceOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send refused bodies again, as they came or corrected.

    Use it after a mapping, the registry or a source was corrected. It may be repeated, also while
    the gateway runs. Exit 1 if something is still refused.
    """
    from producers.gateway import resubmission

    if body is not None and (numbers is None or len(numbers) != 1):
        msg = "a corrected body needs exactly one number"
        raise typer.BadParameter(msg, param_hint="--body")
    with _open() as ingest:
        chosen = numbers or resubmission.refused_ids(ingest.store.path, source, reason)
        _resubmit(ingest, chosen, body.read_bytes() if body else None, as_json=as_json)


@rejected.command("drop")
def drop(
    numbers: BodyNumbers,
    *,
    because: Annotated[str, typer.Option("--because", help="Why; stored with the body.")],
) -> None:
    """Exclude refused bodies from being sent again. They stay archived as long as all others."""
    from pravah.settings import Settings
    from producers.gateway import resubmission
    from producers.gateway.store import Store

    with Store.open(Settings()) as store:
        resubmission.drop_bodies(store, numbers, because)
    typer.echo(f"dropped: {len(numbers):,}")


def replay(
    *,
    source: Annotated[str, typer.Option("--source", help="Of this source.")],
    first: Annotated[
        date | None,
        typer.Option(
            "--from",
            metavar="DAY",
            parser=read_day,
            help="Received on this day (Asia/Kolkata) or later.",
        ),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option(
            "--to", metavar="DAY", parser=read_day, help="Received on this day or earlier."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Map archived bodies again, after a mapping was corrected.

    The new events replace the earlier ones of each submission. Newer states of a submission stay,
    and unchanged events are not sent again, so it may be repeated. Exit 1 if something is refused.
    """
    from producers.gateway import resubmission

    since = _midnight(first) if first else 0.0
    until = _midnight(last + timedelta(days=1)) if last else float("inf")
    with _open() as ingest:
        ingest.source(source)  # raises if there is none
        numbers = resubmission.received_ids(ingest.store.path, source, since, until)
        _resubmit(ingest, numbers, None, as_json=as_json)


def _open() -> "AbstractContextManager[IngestService]":
    from pravah.settings import Settings
    from producers.gateway.ingest import IngestService

    return IngestService.open(Settings())


def _resubmit(
    ingest: "IngestService", numbers: list[int], body: bytes | None, *, as_json: bool
) -> None:
    import orjson

    from producers.gateway import resubmission

    result = resubmission.resubmit_bodies(ingest, numbers, body)
    ingest.flush(_FLUSH_TIMEOUT_S)
    if as_json:
        typer.echo(orjson.dumps(_result_to_json(result)).decode())
    else:
        _print_result(result)
    raise typer.Exit(1 if result.refused else 0)


def _print_result(result: "ResubmitResult") -> None:
    for number, refusals in list(result.refused.items())[:_MAX_LINES]:
        details = "; ".join(f"{reason}: {detail}" for reason, detail in refusals)
        typer.echo(f"{number}: {details}", err=True)
    say(
        f"स्वीकृत: {result.accepted:,}; अब भी अस्वीकृत: {len(result.refused):,}",
        f"accepted: {result.accepted:,}; still refused: {len(result.refused):,}",
    )


def _result_to_json(result: "ResubmitResult") -> dict[str, Any]:
    return {
        "taken": result.accepted,
        "refused": len(result.refused),
        "reasons": dict(Counter(refusals[0].reason for refusals in result.refused.values())),
        "still_refused": [
            {"number": number, "errors": [refusal._asdict() for refusal in refusals]}
            for number, refusals in result.refused.items()
        ],
    }


def _file() -> Path:
    from pravah.settings import Settings
    from producers.gateway.schema import gateway_file

    return gateway_file(Settings())


def _to_json(body: "ArchivedBody") -> dict[str, Any]:
    names = ("id", "source", "kind", "outcome", "reason", "detail", "times", "headers")
    return {
        "at": body.at.astimezone(KOLKATA).isoformat(timespec="seconds"),
        **{name: getattr(body, name) for name in names},
    }


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), KOLKATA).timestamp()
