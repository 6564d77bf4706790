"""How far the forecast was off, on campaigns that were simulated to their end.

    python benchmarks/forecast.py [--seeds 11 12 13] [--events 230000] [--json]

Each campaign is folded into ClickHouse. On days from four weeks before each deadline to eight weeks behind it the view is asked when a share of the units below each ancestor will have the milestone; the
end of the campaign says when they had. Only units with at least twenty below them are asked about. What the seeds 1, 2 and 3 show was used to choose the formula; so measure with others.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from clickhouse_driver import Client
from rich.console import Console
from rich.table import Table

import reference
import stack
from operations.bootstrap import default_plan, prepare
from operations.registry import read_registry_files
from producers.simulator import SimulationOptions, simulate
from sinks.connection import connect

FIRST, LAST = date(2022, 2, 1), date(2022, 10, 15)
SHARES = (0.5, 0.8, 0.9)
LEVELS = ("state", "division", "district", "assembly")
MIN_UNITS = 20
WEEKS = range(-4, 9)


@dataclass
class Score:
    """Of one share and level."""

    errors: list[int] = field(default_factory=list)
    """Days between the forecast and what came, of forecasts whose goal was reached in the end."""
    within: int = 0
    """Forecasts whose band held what came; a goal that was never reached is held by a band that goes beyond the campaign's end."""
    foretold: int = 0
    never: int = 0
    """Asked about a goal that was not reached by the end of the campaign."""
    never_foretold: int = 0
    """Of these, how often a day within the campaign was told."""
    said_no: int = 0
    """`not_in_sight` or a day beyond the end, of goals that were not reached."""
    wrong_no: int = 0
    """`not_in_sight`, of goals that were reached."""
    too_little: int = 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--events", type=int, default=230_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.folding import fold

    registry = read_registry_files(reference.registry_files())
    scores: dict[tuple[float, str], Score] = defaultdict(Score)
    for seed in options.seeds:
        with (
            tempfile.TemporaryDirectory(prefix="pravah-forecast-") as folder,
            stack.running(Path(folder) / "home") as settings,
        ):
            prepare(settings, lambda _: None, registry=registry)
            simulated = simulate(
                registry,
                default_plan(),
                SimulationOptions(seed=seed, first=FIRST, last=LAST, events=options.events),
            )
            fold(
                settings.clickhouse,
                registry,
                [json.loads(one.value or b"") for one in simulated if one.sort != "broken"],
            )
            with connect(settings.clickhouse, "grafana") as client:
                score(client, scores)
    if options.json:
        print(
            json.dumps(
                [
                    {"share": share, "level": level, **summary(one)}
                    for (share, level), one in scores.items()
                ]
            )
        )
        return 0
    table = Table(
        "share",
        "level",
        "forecasts",
        "days off, median",
        "90 % within",
        "in the band",
        "never reached: said so",
        "reached: denied",
        "too little",
    )
    for (share, level), one in sorted(
        scores.items(), key=lambda item: (item[0][0], LEVELS.index(item[0][1]))
    ):
        told = summary(one)
        table.add_row(f"{share:.0%}", level, *(str(value) for value in told.values()))
    Console(width=160).print(table)
    return 0


def score(client: Client, scores: dict[tuple[float, str], Score]) -> None:
    """Ask on every day, and hold the answers against the end."""
    deadlines = sorted({row[0] for row in client.execute("SELECT deadline FROM milestones")})
    rows = client.execute(
        "SELECT s.milestone, a.ancestor, arraySort(groupArray(s.done_at)) FROM plan_status_at(as_of = %(at)s) AS s INNER JOIN unit_ancestors AS a ON a.unit = s.unit "
        "WHERE s.done_at IS NOT NULL AND %(day)s BETWEEN a.valid_from AND a.valid_to GROUP BY s.milestone, a.ancestor",
        {"at": f"{LAST} 12:00:00.000", "day": LAST},
    )
    days = {(milestone, unit): done for milestone, unit, done in rows}
    for week in WEEKS:
        for share in SHARES:
            for deadline in deadlines:
                for milestone, level, unit, goal, outlook, reached_at, earliest, latest in ask(
                    client, deadline, deadline + timedelta(weeks=week), share
                ):
                    done = days.get((milestone, unit), [])
                    truth = done[goal - 1] if len(done) >= goal else None
                    add(scores[share, level], truth, outlook, reached_at, earliest, latest)


def add(
    one: Score,
    truth: date | None,
    outlook: str,
    reached_at: date | None,
    earliest: date | None,
    latest: date | None,
) -> None:
    """Note one answer."""
    if outlook == "too_little":
        one.too_little += 1
        return
    if truth is None:
        one.never += 1
        one.said_no += reached_at is None or reached_at > LAST
        one.never_foretold += reached_at is not None and reached_at <= LAST
    if reached_at is None or earliest is None:
        one.wrong_no += truth is not None
        return
    one.foretold += 1
    one.within += (
        (earliest <= truth and (latest is None or truth <= latest))
        if truth
        else (latest is None or latest > LAST)
    )
    if truth is not None:
        one.errors.append(abs((reached_at - truth).days))


def summary(one: Score) -> dict[str, str | int]:
    """As the table has it."""
    reached = len(one.errors) + one.wrong_no
    return {
        "forecasts": one.foretold,
        "days off": f"{statistics.median(one.errors):.0f}" if one.errors else "-",
        "90 %": f"{sorted(one.errors)[int(0.9 * len(one.errors))]}" if one.errors else "-",
        "in the band": f"{one.within / one.foretold:.0%}" if one.foretold else "-",
        "said so": f"{one.said_no / one.never:.0%} of {one.never}" if one.never else "-",
        "denied": f"{one.wrong_no / reached:.0%} of {reached}" if reached else "-",
        "too little": one.too_little,
    }


def ask(client: Client, deadline: date, on: date, share: float) -> list[tuple]:  # type: ignore[type-arg]
    """The view's answer on a day about the milestones of a deadline."""
    query = """
        SELECT milestone, toString(level), unit, goal, toString(outlook), reached_at, earliest, latest
        FROM plan_forecast_at(as_of = %(at)s, share = %(share)s)
        WHERE deadline = %(deadline)s AND expected >= %(least)s AND toString(level) IN %(levels)s AND outlook != 'reached'
    """
    return list(
        client.execute(
            query,
            {
                "at": f"{on} 12:00:00.000",
                "share": share,
                "deadline": deadline,
                "least": MIN_UNITS,
                "levels": LEVELS,
            },
        )
    )


if __name__ == "__main__":
    sys.exit(main())
