"""`make chaos`: runs every case many times with random seeds, and prints a table.

python -m tests.chaos.run [--runs 20] [--case NAME …] [--seed N] [--json]
"""

import argparse
import json
import random
import secrets
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

import stack
from pravah.settings import Settings
from tests.chaos.cases import CASES
from tests.chaos.world import World


@dataclass
class Row:
    """One line of the table."""

    case: str
    runs: int = 0
    events: int = 0
    repeats: int = 0
    figures: int = 0
    differences: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def run_case(
    services: Settings, folder: Path, name: str, runs: int, seed: int, report=lambda _: None
) -> Row:
    """Run a case a number of times in one deployment; compare everything after each run.

    Args:
        services: the servers.
        folder: for logs.
        name: of the case.
        runs: how often.
        seed: of the first run; each further one's is higher by 1.
        report: called with the row after each run.
    """
    row = Row(name)
    began = time.monotonic()
    try:
        world = World(services, folder)
    except Exception as error:
        row.failures.append(f"no deployment: {type(error).__name__}: {error}")
        return row
    try:
        for number in range(runs):
            world.begin(number, seed + number)
            try:
                CASES[name](world)
                world.drain()
                outcome = world.check()
            except Exception as error:
                row.failures.append(
                    f"seed {seed + number}: {type(error).__name__}: {error}\n"
                    f"{traceback.format_exc(limit=-3)}\n{world.log_end()}"
                )
                break
            row.runs += 1
            row.events += outcome.events
            row.repeats += outcome.repeats
            row.figures += outcome.figures
            row.differences += len(outcome.differences)
            report(row)
            if outcome.differences:
                row.failures.append(f"seed {seed + number}: " + "; ".join(outcome.differences[:5]))
                break
    finally:
        world.stop()
        row.seconds = time.monotonic() - began
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--case", action="append", choices=sorted(CASES), help="run this case only; may be repeated"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="seed of the first run; each further one's is higher by 1",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    console = Console(stderr=True)
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="pravah-chaos-") as folder,
        stack.running(Path(folder) / "home") as services,
    ):
        for name in options.case or CASES:
            random.seed(seed)
            rows.append(
                run_case(
                    services,
                    Path(folder),
                    name,
                    options.runs,
                    seed,
                    lambda row: console.print(
                        f"[dim]{row.case}: {row.runs} runs, {row.differences} differences"
                    ),
                )
            )
            for failure in rows[-1].failures:
                console.print(f"[red]{name}: {failure}", markup=False)
    if options.json:
        print(json.dumps({"seed": seed, "cases": [asdict(row) for row in rows]}))
    else:
        table = Table(
            "case",
            "runs",
            "events",
            "repeats",
            "figures compared",
            "differences",
            "seconds",
            title=f"fault suite, seeds from {seed}",
        )
        for row in rows:
            table.add_row(
                row.case + (" ✗" if row.failures else ""),
                *(
                    f"{number:,}"
                    for number in (row.runs, row.events, row.repeats, row.figures, row.differences)
                ),
                f"{row.seconds:.0f}",
            )
        total = [
            sum(getattr(row, name) for row in rows)
            for name in ("runs", "events", "repeats", "figures", "differences")
        ]
        table.add_row(
            "all",
            *(f"{number:,}" for number in total),
            f"{sum(row.seconds for row in rows):.0f}",
            style="bold",
        )
        Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
