"""When the units below a unit will have their milestones, at the pace of the last week."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from clickhouse_driver import Client

from schemas import defaults
from sinks.completions import Completions
from sinks.control_room import millis

SHARE = defaults.SHARE

Outlook = Literal["reached", "forecast", "not_in_sight", "too_little"]


@dataclass(frozen=True)
class Forecast:
    """Forecast of one milestone for the units at or below one unit.

    `sinks/migrations/m0009_forecast_and_unusual_values.py` explains the method.
    """

    milestone: str
    level: str
    unit: str
    deadline: date
    expected: int
    done: int
    recent: int
    """Units that got it within the last seven days."""
    goal: int
    """Units that make the share."""
    outlook: Outlook
    reached_at: date | None
    """The day on which the goal was, or by this forecast will be, reached."""
    earliest: date | None
    latest: date | None
    """The ends of a band of about four in five; None for `latest`: more than a year away."""


def forecasts(
    client: Client,
    unit: str,
    as_of: datetime,
    *,
    share: float = SHARE,
    completions: Completions | None = None,
) -> list[Forecast]:
    """The outlook of each milestone for the units at or below a unit, in the order of the plan.

    Args:
        client: of any account.
        unit: a code.
        as_of: an instant; only its day in Asia/Kolkata matters.
        share: of the units, above 0 and at most 1.
        completions: those of the plan, if the caller has them already.
    """
    completions = completions or Completions.read(client)
    ancestors = """
        SELECT * FROM unit_ancestors
        WHERE ancestor = %(unit)s OR toString(ancestor_level) = 'state'
    """
    query = f"""
        SELECT milestone, toString(level), unit, deadline, expected, done, recent, goal,
               toString(outlook), reached_at, earliest, latest
        FROM {completions.forecast(ancestors)}
        WHERE unit = %(unit)s
        ORDER BY position
    """
    return [
        Forecast(*row)
        for row in completions.execute(
            client, query, {"unit": unit, "as_of": millis(as_of), "share": share}
        )
    ]
