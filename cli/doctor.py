"""`pravah doctor`: check this deployment, and say how to correct what is wrong."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import Words, say
from cli.options import AsJson
from cli.tables import AsPlain, Column, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from doctor import Check

CHECKS_COLUMNS = (
    Column("check"),
    Column("verdict", "key"),
    Column("found"),
    Column("remedy"),
)
VERDICTS = {
    "ok": Words("✓ ठीक", "✓ ok"),
    "warning": Words("! चेतावनी", "! warning"),
    "failure": Words("✗ ख़राबी", "✗ failure"),
}
_COLORS = {"ok": "", "warning": "yellow", "failure": "red"}


def doctor(
    *,
    escapes: Annotated[
        bool,
        typer.Option(
            "--escapes",
            help="Also try, as each ClickHouse account, what must be refused.",
        ),
    ] = False,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Check this deployment, and print a remedy for each problem. Changes nothing.

    It looks at Kafka, its topics and newest records; ClickHouse, its accounts and tables; registry
    and metric dictionary; the gateway, if one is set up or has run on this home; settings.
    Exit 1 if there is a failure; warnings are worth a look.
    """
    import orjson

    from doctor import diagnose, gather
    from pravah.settings import Settings
    from stack.control import is_embedded

    # An unreachable server is reported as a check, not as a driver's traceback.
    for driver in ("clickhouse_driver", "kafka"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    checks = diagnose(gather(Settings(), embedded=is_embedded(), escapes=escapes))
    if as_json:
        typer.echo(orjson.dumps([asdict(check) for check in checks]).decode())
    else:
        print_checks(checks, plain=plain)
        if not plain:
            _print_summary(checks)
    raise typer.Exit(1 if any(check.verdict == "failure" for check in checks) else 0)


def print_checks(
    checks: "Sequence[Check]", *, plain: bool = False, console: "Console | None" = None
) -> None:
    """Print the table of all checks, area by area."""
    shown = list(_merge_unchecked(checks))
    rows = [
        (f"{check.area}: {names}", VERDICTS[check.verdict], check.found, check.remedy)
        for names, check in shown
    ]
    colors = [_COLORS[check.verdict] for _, check in shown]
    print_table(CHECKS_COLUMNS, rows, colors=colors, plain=plain, console=console)


def _print_summary(checks: "Sequence[Check]") -> None:
    count = Counter(check.verdict for check in checks)
    numbers = [(words, count[verdict]) for verdict, words in VERDICTS.items()]  # type: ignore[index]
    say(
        ", ".join(f"{words.hi}: {number}" for words, number in numbers),
        ", ".join(f"{words.en}: {number}" for words, number in numbers),
    )


def _merge_unchecked(checks: "Sequence[Check]") -> "Iterator[tuple[str, Check]]":
    """Names to show, and the check; neighbours not checked for one reason become one row."""
    for _, group in groupby(checks, key=_row_key):
        rows = list(group)
        yield ", ".join(check.name for check in rows), rows[0]


def _row_key(check: "Check") -> tuple[str, str, str]:
    from doctor.rules import NOT_CHECKED

    is_unchecked = check.found.startswith(NOT_CHECKED)
    return check.area, "" if is_unchecked else check.name, check.found
