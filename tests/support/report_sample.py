"""A situation report made by hand, for tests of its pages without a server."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from pravah.days import KOLKATA
from reports.situation import (
    SHARE_DAYS,
    Amount,
    Booths,
    Child,
    Curve,
    DayAmount,
    MilestoneLine,
    OfficeCall,
    Overdue,
    Situation,
)
from sinks.control_room import Call, Defaulter, Office
from sinks.forecast import Forecast
from sinks.situation import Age

DAY = date(2022, 6, 9)
AT = datetime(2022, 6, 9, 18, 30, tzinfo=KOLKATA)
# Districts of the state, Korba the furthest ahead.
DISTRICTS = 33
SHARES = [0.4 + 0.01 * number for number in range(SHARE_DAYS)]


def _milestone(
    name: str, deadline: date, counts: tuple[int, int, int, int], *, forecast: Forecast | None
) -> MilestoneLine:
    expected = sum(counts)
    return MilestoneLine(
        name,
        "booth",
        name,
        {"appointed": "नियुक्त", "trained": "प्रशिक्षित", "groups": "समूह"}[name],
        deadline,
        (deadline - DAY).days,
        expected,
        *counts,
        known_late=0,
        newly_done=70 if counts[2] else 0,
        newly_overdue=0,
        share=(counts[0] + counts[1]) / expected,
        forecast=forecast,
    )


def forecast(first: date, last: date | None, outlook: str = "forecast") -> Forecast:
    """A forecast whose band is from one day to another."""
    return Forecast("trained", "booth", "CG", DAY, 1000, 300, 50, 800, outlook, first, first, last)


def state(*, contacts: bool = True) -> Situation:
    """A state with a finished milestone, one that is overdue and one that is due."""
    call = Call("Asha Sahu", "+919876543210", "hi") if contacts else None
    office = Office(
        *("assembly in-charge", "विधानसभा प्रभारी", "CG-AC044", "Kasdol", "कसडोल"),
        *("booth", 130, 9, ["trained"]),
    )
    late = Defaulter(
        *("trained", "trained", "प्रशिक्षित", "booth", "CG-AC044-B0007", "Booth 7", "मतदान केंद्र 7"),
        *(DAY - timedelta(days=9), 9, 2, None),
        *("assembly in-charge", "विधानसभा प्रभारी", "CG-AC044", "Kasdol", "कसडोल"),
    )
    milestones = [
        _milestone("appointed", DAY - timedelta(days=40), (900, 100, 0, 0), forecast=None),
        _milestone(
            "trained",
            DAY - timedelta(days=9),
            (500, 40, 460, 0),
            forecast=forecast(DAY + timedelta(days=5), DAY + timedelta(days=330)),
        ),
        _milestone(
            "groups",
            DAY + timedelta(days=12),
            (70, 0, 0, 930),
            forecast=forecast(DAY + timedelta(days=5), DAY + timedelta(days=25)),
        ),
    ]
    return Situation(
        *("CG", "state", "Chhattisgarh", "छत्तीसगढ़", None, None),
        day=DAY,
        as_of=AT,
        made_at=AT,
        basis="due_by_now",
        expected=2000,
        done=1540,
        overdue=460,
        share=0.77,
        newly_done=70,
        shares=[*SHARES[:-2], 0.735, 0.77],
        milestones=milestones,
        amounts=[Amount("members", 312, 20, 900.0, 1_23_456, 4_000, day_before=287)],
        booths=Booths(14, 800, 10, 190),
        curves=[
            Curve("trained", "trained", "प्रशिक्षित", DAY, DAY - timedelta(days=149), [0.5] * 150)
        ],
        member_days=[DayAmount(DAY - timedelta(days=n), 9 * n) for n in range(41, -1, -1)],
        child_level="district",
        children=[
            Child(
                *(f"CG-D-{number:03}", "district", f"District {number}", f"जनपद {number}"),
                *(60, 50 - number, 10 + number, 9, (50 - number) / 60, number),
                newly_done=1,
            )
            for number in range(DISTRICTS)
        ],
        compared_children=DISTRICTS,
        offices=[
            OfficeCall(office, call),
            OfficeCall(replace(office, responsible_en="Saja", responsible_hi="साजा"), call),
        ],
        defaulters=[Overdue(late, call)],
        more_defaulters=459,
        age=Age(AT, AT, AT, None, None),
    )


def booth() -> Situation:
    """A booth with one milestone, which is overdue."""
    whole = state()
    line = replace(
        whole.milestones[1],
        **dict.fromkeys(("done_on_time", "done_late", "due", "newly_done"), 0),
        expected=1,
        overdue=1,
        share=0.0,
        forecast=None,
    )
    return Situation(
        *("CG-AC044-B0007", "booth", "Booth 7", "मतदान केंद्र 7", None, None),
        day=DAY,
        as_of=AT,
        made_at=AT,
        basis="due_by_now",
        expected=1,
        overdue=1,
        share=0.0,
        shares=[0.0] * SHARE_DAYS,
        milestones=[line],
        offices=whole.offices[:1],
        defaulters=whole.defaulters,
        age=whole.age,
    )
