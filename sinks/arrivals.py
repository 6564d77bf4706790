"""When reports for past days arrived: why completeness in time may be nothing but zeros."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from clickhouse_driver import Client

from pravah.units import Level
from sinks.control_room import ReportingRate


@dataclass(frozen=True)
class LateArrival:
    """Days for which units reported, and none of them in time."""

    days: int
    """How many such days there are."""
    first_arrival: date
    """The first day on which anything for one of them arrived, in Asia/Kolkata."""
    last_arrival: date
    needed: int
    """Days after its day within which every first report counts as in time."""


def late_arrival(
    client: Client, unit: str, rates: Sequence[ReportingRate], *, level: Level
) -> LateArrival | None:
    """Find when the reports arrived for the days of which nothing was in time; None without such.

    Args:
        client: of any account.
        unit: the code of the unit of the rates.
        rates: completeness and timeliness by day.
        level: of the units that report.
    """
    days = [one.day for one in rates if one.reported and not one.on_time]
    if not days:
        return None
    query = """
        SELECT min(arrived), max(arrived), max(arrived - day) FROM (
            SELECT unit, day, min(toDate(appended_at, 'Asia/Kolkata')) AS arrived
            FROM ledger FINAL
            WHERE op = 'report' AND day IN %(days)s AND unit IN (
                SELECT unit FROM unit_ancestors WHERE ancestor = %(unit)s
            ) AND unit IN (SELECT unit FROM units WHERE level = %(level)s)
            GROUP BY unit, day
        )
    """
    ((first, last, needed),) = client.execute(query, {"days": days, "unit": unit, "level": level})
    return LateArrival(len(days), first, last, needed)
