"""Options that several commands share, and the check of their values.

A unit, metric, milestone or day that does not exist is refused in one way: exit 2, with the option,
the value, and what may have been meant.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.language import say
from pravah.days import KOLKATA, parse_day

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from sinks.control_room import CampaignEnd
    from sinks.lookup import Lookup

T = TypeVar("T")


def read_day(value: str | date) -> date:
    """Read a day of an option.

    Raises:
        typer.BadParameter: it is no day.
    """
    if isinstance(value, date):
        return value
    try:
        return parse_day(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Unit = Annotated[
    str,
    typer.Option(
        help="A unit's code, or its name in English or Hindi; covers the units at or below it."
    ),
]
On = Annotated[
    date | None,
    typer.Option(
        "--date",
        metavar="DAY",
        parser=read_day,
        help="As at the end of this day in Asia/Kolkata, such as 2022-06-30; default: now.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def find_unit(client: "Client", text: str, option: str = "--unit") -> str:
    """Return the code of the unit that an option names.

    Raises:
        typer.BadParameter: there is no such unit, or the name is that of several.
    """
    from sinks.lookup import find_units

    return _check(client, lambda: find_units([text]), option)[0]


def find_open_unit(client: "Client", text: str, as_of: datetime) -> str:
    """Return the code of the unit that `--unit` names, which must exist on a day.

    Raises:
        typer.BadParameter: there is no such unit, or not on the day of `as_of`.
    """
    from sinks.dimensions import days_of_unit

    unit, day = find_unit(client, text), as_of.astimezone(KOLKATA).date()
    first, last = days_of_unit(client, unit)
    if not first <= day <= last:
        days = f"it begins on {first}" if day < first else f"it ended on {last}"
        msg = f"{unit} does not exist on {day}: {days}"
        raise typer.BadParameter(msg, param_hint="'--unit'")
    return unit


def check_metric(client: "Client", metric: str, option: str = "--metric") -> None:
    """Check the metric that an option names.

    Raises:
        typer.BadParameter: the metric dictionary does not have it.
    """
    from sinks.lookup import find_metrics

    _check(client, lambda: find_metrics([metric]), option)


def check_milestone(client: "Client", milestone: str | None, option: str = "--milestone") -> None:
    """Check the milestone that an option names, if any.

    Raises:
        typer.BadParameter: no plan in force has it.
    """
    from sinks.lookup import find_milestones

    _check(client, lambda: find_milestones([milestone] if milestone is not None else []), option)


def print_end(ended: "CampaignEnd | None") -> None:
    """Say, beside figures of today, that the campaign is over; on standard error."""
    if ended is not None:
        say(
            f"ध्यान दें: योजना की अंतिम तिथि {ended.last_deadline} थी और आख़िरी सूचना "
            f"{ended.last_report} की है। यह आज की स्थिति है; --date {ended.last_day} अभियान का अंतिम "
            "दिन है",
            f"note: the plan's last deadline was {ended.last_deadline} and the last report is of "
            f"{ended.last_report}. This is as of today; --date {ended.last_day} is the campaign's "
            "last day",
            err=True,
        )


def _check(client: "Client", lookup: "Callable[[], Lookup[T]]", option: str) -> T:
    from schemas.unit_names import UnknownNameError
    from sinks.lookup import run

    try:
        return run(client, lookup())
    except UnknownNameError as error:
        raise typer.BadParameter(error.detail, param_hint=f"'{option}'") from None
