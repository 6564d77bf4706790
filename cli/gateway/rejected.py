"""`pravah gateway rejected`: what was refused, shown, mended and sent again; and `replay`: kept bodies through the mappings once more."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from pravah.days import KOLKATA
from pravah.settings import Settings
from producers.gateway.sources import FieldSourcesError
from producers.gateway.store import FILE, Store, StoredSubmission, kept, reading
from producers.mapping.tools import BodyError

if TYPE_CHECKING:
    from producers.gateway.ingest import IngestService

rejected = typer.Typer(
    no_args_is_help=True,
    help="What the gateway refused: show it, mend it, send it again, or drop it.",
)

BodyNumbers = Annotated[
    list[int], typer.Argument(metavar="NUMBER …", help="As `rejected list` shows them.")
]
SourceOption = Annotated[str | None, typer.Option("--source", help="Only of this source.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only with this reason.")]
_HANDOVER_SECONDS = 10.0


class KeptError(LookupError):
    """There is no such kept body, or it cannot be what is asked for."""


@rejected.command("list")
def show_all(
    *,
    source: SourceOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Show what was refused and is neither mended nor dropped, the newest last. Exit 1 if there is anything."""
    where, parameters = _where(source, reason)
    with reading(_file()) as connection:
        (total,) = connection.execute(
            f"SELECT count(*) FROM archive WHERE {where}", parameters
        ).fetchone()
        found = list(kept(connection, where, parameters, most=limit, newest_first=True))[::-1]
    if as_json:
        typer.echo(
            orjson.dumps({"total": total, "rejected": [_described(one) for one in found]}).decode()
        )
        raise typer.Exit(1 if total else 0)
    table = Table(
        "number / क्रमांक",
        "last came / पिछली बार",
        "source / स्रोत",
        "times / बार",
        "reason / कारण",
        "detail / विवरण",
    )
    for one in found:
        table.add_row(
            str(one.id),
            f"{one.at.astimezone(KOLKATA):%Y-%m-%d %H:%M}",
            one.source,
            f"{one.times:,}",
            one.reason,
            one.detail,
        )
    Console().print(table)
    typer.echo(
        f"{total:,} refused" + (f", the newest {len(found):,} shown" if total > len(found) else "")
    )
    raise typer.Exit(1 if total else 0)


@rejected.command("show")
def show(
    number: Annotated[int, typer.Argument(help="As `rejected list` shows it.")],
    *,
    to: Annotated[
        Path | None, typer.Option(help="Write the body to this file, to be mended there.")
    ] = None,
) -> None:
    """Show a kept body as it came, whatever became of it. It may hold names and phone numbers."""
    one = _one(number)
    typer.echo(orjson.dumps(_described(one), option=orjson.OPT_INDENT_2).decode(), err=True)
    if to is None:
        typer.echo(one.body.decode("utf-8", "replace"))
        return
    to.touch(mode=0o600)
    to.write_bytes(one.body)
    typer.echo(
        f"written to {to}; mend it, then: pravah gateway rejected send {number} --body {to}",
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
        typer.Option(help="The mended body of the one that is named.", exists=True, dir_okay=False),
    ] = None,
    source: SourceOption = None,
    reason: ReasonOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Send what was refused again: as it came, after a mapping, the registry or a source was mended; or one with a mended body.

    It may be repeated, also while the gateway runs. Exit 1 if something is still refused.
    """
    if body is not None and (numbers is None or len(numbers) != 1):
        msg = "a mended body goes with exactly one number"
        raise typer.BadParameter(msg, param_hint="--body")
    where, parameters = _where(source, reason)
    with _open() as reception, reading(_file()) as connection:
        chosen = numbers or [
            row[0]
            for row in connection.execute(
                f"SELECT id FROM archive WHERE {where} ORDER BY id", parameters
            )
        ]
        _tell(_again(reception, chosen, body.read_bytes() if body else None), as_json=as_json)


@rejected.command("drop")
def drop(
    numbers: BodyNumbers,
    *,
    because: Annotated[str, typer.Option("--because", help="Why; kept with it.")],
) -> None:
    """Say that refused bodies are not to be sent again. They stay kept as long as all others."""
    with Store.open(Settings()) as store:
        dropped = [
            store.submit(methodcaller("drop", number, because)).result() for number in numbers
        ]
    wrong = [
        number for number, was_refused in zip(numbers, dropped, strict=True) if not was_refused
    ]
    if wrong:
        msg = f"not among what was refused: {', '.join(map(str, wrong))}"
        raise KeptError(msg)
    typer.echo(f"dropped: {len(numbers):,}")


def replay(
    *,
    source: Annotated[str, typer.Option("--source", help="Of this source.")],
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from", formats=["%Y-%m-%d"], help="Received on this day (Asia/Kolkata) or later."
        ),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Received on this day or earlier."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Run kept bodies through the mappings once more, after a mapping was mended: what they stand for now replaces what was told before.

    Newer states of a submission stay. What is told already is not sent again, so it may be repeated. Exit 1 if something is refused.
    """
    where, parameters = "source = ? AND outcome != 'dropped'", [source]
    since, until = (
        _midnight(first.date()) if first else 0.0,
        _midnight(last.date() + timedelta(days=1)) if last else float("inf"),
    )
    with _open() as reception, reading(_file()) as connection:
        reception.source(source)
        numbers = [
            row[0]
            for row in connection.execute(
                f"SELECT id FROM archive WHERE {where} AND at >= ? AND at < ? ORDER BY id",
                (*parameters, since, until),
            )
        ]
        _tell(_again(reception, numbers, None), as_json=as_json)


def _again(reception: "IngestService", numbers: list[int], body: bytes | None) -> dict[str, Any]:
    taken, reasons, refused = 0, Counter[str](), []
    for one in map(_one, numbers):
        try:
            refusals = [refusal._asdict() for refusal in reception.take_again(one, body)]
        except (BodyError, FieldSourcesError) as error:
            refusals = [
                {
                    "reason": "unreadable" if isinstance(error, BodyError) else "no_source",
                    "detail": str(error),
                }
            ]
        taken += not refusals
        if refusals:
            reasons[refusals[0]["reason"]] += 1
            refused.append({"number": one.id, "errors": refusals})
    reception.flush(_HANDOVER_SECONDS)
    return {
        "taken": taken,
        "refused": len(refused),
        "reasons": dict(reasons),
        "still_refused": refused,
    }


def _tell(outcome: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(outcome).decode())
    else:
        for one in outcome["still_refused"][:20]:
            typer.echo(
                f"{one['number']}: "
                + "; ".join(f"{error['reason']}: {error['detail']}" for error in one["errors"]),
                err=True,
            )
        typer.echo(
            f"taken / स्वीकृत: {outcome['taken']:,}; still refused / अब भी अस्वीकृत: {outcome['refused']:,}"
        )
    raise typer.Exit(1 if outcome["refused"] else 0)


def _open() -> Any:
    from producers.gateway.ingest import IngestService

    return IngestService.open(Settings())


def _file() -> Path:
    return Settings().home / "gateway" / FILE


def _one(number: int) -> StoredSubmission:
    with reading(_file()) as connection:
        found = next(kept(connection, "id = ?", (number,)), None)
    if found is None:
        msg = f"no body with the number {number} is kept; `pravah gateway rejected list` shows those that were refused"
        raise KeptError(msg)
    return found


def _where(source: str | None, reason: str | None) -> tuple[str, list[str]]:
    conditions = {"source = ?": source, "reason = ?": reason}
    return " AND ".join(
        ["outcome = 'refused'", *(one for one, value in conditions.items() if value)]
    ), [value for value in conditions.values() if value]


def _described(one: StoredSubmission) -> dict[str, Any]:
    names = ("id", "source", "kind", "outcome", "reason", "detail", "times", "headers")
    return {
        "at": one.at.astimezone(KOLKATA).isoformat(timespec="seconds"),
        **{name: getattr(one, name) for name in names},
    }


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), KOLKATA).timestamp()
