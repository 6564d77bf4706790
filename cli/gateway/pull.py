"""`pravah gateway pull` and `reconcile`: what a hook missed, and whether anything is missing still."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from cli.progress import progress
from pravah.settings import Settings
from producers.gateway.ingest import IngestService
from producers.pulls.pull import TROUBLES, Pulled
from producers.pulls.pull import pull as pull_source
from producers.pulls.reconcile import Difference, Reconciled, State, by_state, repair
from producers.pulls.reconcile import reconcile as reconcile_source

_SHOWN = 10
"""So many of a kind are listed; `--json` has all."""
_FLUSH_SECONDS = 30.0

_WHAT_TO_DO: dict[State, tuple[str, str]] = {
    "missing": (
        "stand at the tool, not here / टूल में हैं, यहाँ नहीं",
        "`pravah gateway pull {source} --from-beginning`; if they stay, `pravah gateway reconcile {source} --repair`",
    ),
    "older": (
        "were changed at the tool, not here / टूल में बदले गए, यहाँ पुराने हैं",
        "`pravah gateway pull {source} --from-beginning`",
    ),
    "extra": (
        "stand here, not at the tool / यहाँ हैं, टूल में नहीं",
        "`pravah gateway pull {source} --from-beginning`; if they stay and the tool truly has them no more, `pravah gateway reconcile {source} --repair`",
    ),
    "refused": (
        "cannot be taken / स्वीकार नहीं हो सकते",
        "mend the mapping, then `pravah gateway rejected list` and `rejected send`",
    ),
    "unreadable": ("are no submissions of this tool / पढ़े नहीं जा सके", "look at them at the tool"),
    "pending": ("changed lately / हाल में बदले", "nothing: the next pull brings them"),
}


def pull(
    source: Annotated[
        str, typer.Argument(metavar="NAME", help="The source: the name of its file, without .toml.")
    ],
    *,
    from_beginning: Annotated[
        bool,
        typer.Option(
            "--from-beginning",
            help="Everything that the tool still has, not only what changed since the last pull.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Fetch from the tool what its hook missed: new submissions, edits, reviews, deletions. The gateway may run meanwhile.

    It can be killed at any moment and goes on where it was. Exit 1 if the tool does not answer, or something cannot be taken.
    """
    with _reception() as reception, progress(f"pull of {source}", None, quiet=as_json) as advance:
        pulled = pull_source(
            reception,
            reception.source(source),
            from_beginning=from_beginning,
            tell=lambda so_far: advance(0, f"{so_far.submissions:,} submissions"),
        )
        reception.flush(_FLUSH_SECONDS)
    if as_json:
        typer.echo(orjson.dumps(_pulled_json(pulled)).decode())
    else:
        table = Table(
            "seen / देखे गए",
            "new or changed / नए या बदले",
            "known already / पहले से ज्ञात",
            "refused / अस्वीकृत",
            "unreadable / अपठनीय",
        )
        table.add_row(
            *(
                f"{number:,}"
                for number in (
                    pulled.submissions,
                    pulled.accepted,
                    pulled.repeated,
                    len(pulled.refused),
                    len(pulled.unreadable),
                )
            )
        )
        Console().print(table)
        lines = [
            f"refused: {one.name}: {reason}: {detail}" for one, reason, detail in pulled.refused
        ] + [f"unreadable: {one.row}: {one.detail}" for one in pulled.unreadable]
        for line in _first(lines):
            typer.echo(line)
        if pulled.refused:
            typer.echo(
                "`pravah gateway rejected list` shows the refused ones; mend the mapping, then `pravah gateway rejected send`"
            )
    raise typer.Exit(1 if pulled.refused or pulled.unreadable else 0)


def reconcile(
    source: Annotated[
        str, typer.Argument(metavar="NAME", help="The source: the name of its file, without .toml.")
    ],
    *,
    mend: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Tell what no pull can see: take back what the tool has no more, take what it has all the same.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Compare every submission that stands at the tool with what the gateway knows, by day and by name.

    Reads everything the tool has. Exit 1 if they differ by more than what the next pull brings.
    """
    with _reception() as reception:
        with progress(f"reconcile {source}", None, quiet=as_json) as advance:
            seen = 0

            def tell(rows: int) -> None:
                nonlocal seen
                seen += rows
                advance(0, f"{seen:,} submissions")

            found = reconcile_source(reception, reception.source(source), tell=tell)
        if not as_json:
            _show(found)
        if (
            mend
            and found.mends
            and (
                yes
                or typer.confirm(
                    f"Tell {len(found.mends):,} changes, {_taken_back(found):,} of them deletions?",
                    err=True,
                )
            )
        ):
            repair(reception, found)
            reception.flush(_FLUSH_SECONDS)
            typer.echo(f"{found.repaired:,} told", err=as_json)
    if as_json:
        typer.echo(orjson.dumps(_reconciled_json(found)).decode())
    raise typer.Exit(
        0 if found.is_equal or (found.repaired and found.repaired == _different(found)) else 1
    )


@contextmanager
def _reception() -> Iterator[IngestService]:
    try:
        with IngestService.open(Settings()) as reception:
            yield reception
    except TROUBLES as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _show(found: Reconciled) -> None:
    console = Console()
    different = [
        (day, counts) for day, counts in found.days.items() if counts.at_tool != counts.here
    ]
    if different:
        table = Table(
            "submitted on / जमा करने का दिन", "at the tool / टूल में", "of them here / उनमें से यहाँ"
        )
        for day, counts in different[-_SHOWN:]:
            table.add_row(day.isoformat(), f"{counts.at_tool:,}", f"{counts.here:,}")
        console.print(table)
    console.print(
        f"{found.source}: {found.at_tool:,} submissions stand at the tool, {found.here:,} here / टूल में {found.at_tool:,}, यहाँ {found.here:,}",
        soft_wrap=True,
    )
    for state, differences in by_state(found.differences):
        meaning, what_to_do = _WHAT_TO_DO[state]
        console.print(
            f"[bold]{state}[/bold]: {len(differences):,} {meaning}. What to do: {what_to_do.format(source=found.source)}",
            soft_wrap=True,
        )
        for line in _first([f"  {_day(one.day)}  {one.name}  {one.detail}" for one in differences]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.is_equal:
        console.print(
            "Equal / बराबर"
            if not found.differences
            else "Equal, but for what the next pull brings / बराबर; बाक़ी अगली बार आएगा"
        )


def _first(lines: list[str]) -> list[str]:
    return lines[:_SHOWN] + (
        [f"  … and {len(lines) - _SHOWN:,} more; --json has all"] if len(lines) > _SHOWN else []
    )


def _day(day: date | None) -> str:
    return day.isoformat() if day is not None else "          "


def _different(found: Reconciled) -> int:
    return sum(one.state != "pending" for one in found.differences)


def _taken_back(found: Reconciled) -> int:
    return sum(one.deleted for one in found.mends)


def _pulled_json(pulled: Pulled) -> dict[str, Any]:
    return {
        "source": pulled.source,
        "submissions": pulled.submissions,
        "accepted": pulled.accepted,
        "repeated": pulled.repeated,
        "refused": [
            {"form": one.form, "name": one.name, "reason": reason, "detail": detail}
            for one, reason, detail in pulled.refused
        ],
        "unreadable": [{"row": one.row, "detail": one.detail} for one in pulled.unreadable],
    }


def _reconciled_json(found: Reconciled) -> dict[str, Any]:
    def difference(one: Difference) -> dict[str, Any]:
        return {
            "state": one.state,
            "form": one.form,
            "name": one.name,
            "day": one.day,
            "detail": one.detail,
        }

    return {
        "source": found.source,
        "equal": found.is_equal,
        "at_tool": found.at_tool,
        "here": found.here,
        "days": {
            day.isoformat(): {"at_tool": counts.at_tool, "here": counts.here}
            for day, counts in found.days.items()
        },
        "differences": [difference(one) for one in found.differences],
        "repaired": found.repaired,
    }
