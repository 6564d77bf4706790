"""`pravah gateway pull` and `reconcile`: fetch from a tool, and compare it with the gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import Words, say
from cli.tables import Column, print_table

if TYPE_CHECKING:
    from producers.gateway.ingest import IngestService
    from producers.pulls.pull import PullResult
    from producers.pulls.reconcile import ReconcileResult, State

COUNT_COLUMNS = (
    Column("seen", "number"),
    Column("new_or_changed", "number"),
    Column("known_already", "number"),
    Column("refused", "number"),
    Column("unreadable", "number"),
)
DAY_COLUMNS = (
    Column("submitted_on", "day"),
    Column("at_tool", "number"),
    Column("here", "number"),
)
# Lines printed per kind; `--json` prints all.
_MAX_LINES = 10
_FLUSH_TIMEOUT_S = 30.0

# Meaning of each state in both languages, and what to do about it.
_STATES: dict["State", tuple[Words, str]] = {
    "missing": (
        Words("टूल में हैं, यहाँ नहीं", "stand at the tool, not here"),
        (
            "`pravah gateway pull {source} --from-beginning`; if they stay, "
            "`pravah gateway reconcile {source} --repair`"
        ),
    ),
    "older": (
        Words("टूल में बदले गए, यहाँ पुराने हैं", "were changed at the tool, not here"),
        "`pravah gateway pull {source} --from-beginning`",
    ),
    "extra": (
        Words("यहाँ हैं, टूल में नहीं", "stand here, not at the tool"),
        (
            "`pravah gateway pull {source} --from-beginning`; if they stay and the tool truly has "
            "them no more, `pravah gateway reconcile {source} --repair`"
        ),
    ),
    "refused": (
        Words("स्वीकार नहीं हो सकते", "cannot be accepted"),
        "correct the mapping, then `pravah gateway rejected list` and `rejected send`",
    ),
    "unreadable": (
        Words("पढ़े नहीं जा सके", "are no submissions of this tool"),
        "look at them at the tool",
    ),
    "pending": (Words("हाल में बदले", "changed lately"), "nothing: the next pull brings them"),
}

SourceArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The source: the name of its file, without .toml.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def pull(
    source: SourceArgument,
    *,
    from_beginning: Annotated[
        bool,
        typer.Option(
            "--from-beginning",
            help="Everything that the tool still has, not only changes since the last pull.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch new submissions, edits, reviews and deletions that no hook reported.

    The gateway may run meanwhile. A pull may be killed at any moment; the next one continues there.
    Exit 1 if the tool does not answer, or something cannot be accepted.
    """
    import orjson

    from cli.progress import progress
    from producers.pulls.pull import pull as pull_source

    with _open() as ingest, progress(f"pull of {source}", None, quiet=as_json) as advance:
        result = pull_source(
            ingest,
            ingest.source(source),
            from_beginning=from_beginning,
            on_progress=lambda so_far: advance(0, f"{so_far.submissions:,} submissions"),
        )
        ingest.flush(_FLUSH_TIMEOUT_S)
    if as_json:
        typer.echo(orjson.dumps(_pull_to_json(result)).decode())
    else:
        _print_pull(result)
    raise typer.Exit(1 if result.refused or result.unreadable else 0)


def reconcile(
    source: SourceArgument,
    *,
    with_repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Apply what no pull can see: delete submissions that the tool no longer has, and "
            "ingest those that it has.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the submissions at the tool with those in the gateway, by day and by name.

    Reads everything the tool has. Exit 1 if they differ by more than the next pull brings.
    """
    import orjson

    from cli.progress import progress
    from producers.pulls.reconcile import reconcile as reconcile_source
    from producers.pulls.reconcile import repair

    with _open() as ingest:
        with progress(f"reconcile {source}", None, quiet=as_json) as advance:
            seen = 0

            def show_progress(rows: int) -> None:
                nonlocal seen
                seen += rows
                advance(0, f"{seen:,} submissions")

            result = reconcile_source(ingest, ingest.source(source), on_progress=show_progress)
        if not as_json:
            _print_comparison(result)
        if with_repair and result.repairs and (yes or _confirm(result)):
            repair(ingest, result)
            ingest.flush(_FLUSH_TIMEOUT_S)
            typer.echo(f"{result.repaired:,} repaired", err=as_json)
    if as_json:
        typer.echo(orjson.dumps(_comparison_to_json(result)).decode())
    raise typer.Exit(0 if result.is_equal or result.is_repaired else 1)


@contextmanager
def _open() -> "Iterator[IngestService]":
    from pravah.settings import Settings
    from producers.gateway.ingest import IngestService
    from producers.pulls.pull import PULL_ERRORS

    try:
        with IngestService.open(Settings()) as ingest:
            yield ingest
    except PULL_ERRORS as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _confirm(result: "ReconcileResult") -> bool:
    deletions = sum(one.deleted for one in result.repairs)
    return typer.confirm(
        f"Apply {len(result.repairs):,} changes, {deletions:,} of them deletions?", err=True
    )


def _print_pull(result: "PullResult") -> None:
    counts = (
        result.submissions,
        result.accepted,
        result.repeated,
        len(result.refused),
        len(result.unreadable),
    )
    print_table(COUNT_COLUMNS, [counts])
    lines = [
        f"refused: {one.name}: {reason}: {detail}" for one, reason, detail in result.refused
    ] + [f"unreadable: {one.row}: {one.detail}" for one in result.unreadable]
    for line in _shorten(lines):
        typer.echo(line)
    if result.refused:
        typer.echo(
            "`pravah gateway rejected list` shows the refused ones; correct the mapping, then "
            "`pravah gateway rejected send`"
        )


def _print_comparison(result: "ReconcileResult") -> None:
    from producers.pulls.reconcile import group_by_state

    unequal_days = [
        (day, counts) for day, counts in result.days.items() if counts.at_tool != counts.here
    ]
    if unequal_days:
        rows = [(day, counts.at_tool, counts.here) for day, counts in unequal_days[-_MAX_LINES:]]
        print_table(DAY_COLUMNS, rows)
    say(
        f"{result.source}: टूल में {result.at_tool:,}, यहाँ {result.here:,}",
        f"{result.source}: {result.at_tool:,} submissions stand at the tool, {result.here:,} here",
    )
    for state, differences in group_by_state(result.differences):
        meaning, action = _STATES[state]
        what_to_do, count = action.format(source=result.source), len(differences)
        say(
            f"{state}: {count:,} {meaning.hi}. क्या करें: {what_to_do}",
            f"{state}: {count:,} {meaning.en}. What to do: {what_to_do}",
        )
        lines = [f"  {_format_day(one.day)}  {one.name}  {one.detail}" for one in differences]
        for line in _shorten(lines):
            typer.echo(line)
    if result.is_equal and not result.differences:
        say("बराबर", "Equal")
    elif result.is_equal:
        say("बराबर; बाक़ी अगली बार आएगा", "Equal, but for what the next pull brings")


def _shorten(lines: list[str]) -> list[str]:
    if len(lines) <= _MAX_LINES:
        return lines
    return [*lines[:_MAX_LINES], f"  … and {len(lines) - _MAX_LINES:,} more; --json has all"]


def _format_day(day: date | None) -> str:
    return day.isoformat() if day is not None else "          "


def _pull_to_json(result: "PullResult") -> dict[str, Any]:
    return {
        "source": result.source,
        "submissions": result.submissions,
        "accepted": result.accepted,
        "repeated": result.repeated,
        "refused": [
            {"form": one.form, "name": one.name, "reason": reason, "detail": detail}
            for one, reason, detail in result.refused
        ],
        "unreadable": [{"row": one.row, "detail": one.detail} for one in result.unreadable],
    }


def _comparison_to_json(result: "ReconcileResult") -> dict[str, Any]:
    from producers.pulls.reconcile import Difference

    def to_json(one: Difference) -> dict[str, Any]:
        return {
            "state": one.state,
            "form": one.form,
            "name": one.name,
            "day": one.day,
            "detail": one.detail,
        }

    return {
        "source": result.source,
        "equal": result.is_equal,
        "at_tool": result.at_tool,
        "here": result.here,
        "days": {
            day.isoformat(): {"at_tool": counts.at_tool, "here": counts.here}
            for day, counts in result.days.items()
        },
        "differences": [to_json(one) for one in result.differences],
        "repaired": result.repaired,
    }
