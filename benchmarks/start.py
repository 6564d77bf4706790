"""Measure how long commands take, as multiples of an empty Python.

    python benchmarks/start.py [--rounds 11] [--events 50000] [--home FOLDER] [--json]

In each round an empty Python and every command run once, one after another; a command's multiple is
the median of its times divided by the empty Python's of the same round. Processor time is that of
the command alone, not of the servers; other work on the machine changes it little. The stack has
the registry of Chhattisgarh and a simulated campaign of 2022; with `--home`, that of a running
stack is taken.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import reference
import stack
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from producers.simulator import SimulationOptions, simulate
from reference.defaults import default_plan

ROOT = Path(__file__).resolve().parents[1]
FIRST, LAST = date(2022, 2, 1), date(2022, 6, 30)
DAY = ("--date", "2022-06-15")
# Those that ask no server: at most 20 times an empty Python.
HELP: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("plan", "--help"),
    ("units", "--help"),
    ("gateway", "--help"),
    ("plan", "status", "--help"),
)
COMPLETED = "pravah plan status --l"
# Those that ask ClickHouse, and `status`, which asks Kafka as well: at most 0.8 s.
ASKING: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("units", "find", "Raipur"),
    ("units", "show", "CG-D-RPR"),
    ("units", "tree", "CG"),
    ("plan", "history"),
    ("plan", "status", "--unit", "CG", *DAY),
    ("plan", "defaulters", "--unit", "CG", *DAY),
    ("watch", "completeness", "--unit", "CG", *DAY),
    ("explain", "--unit", "CG-D-RPR", "--metric", "members_digital", "--day", "2022-05-03"),
    ("api", "token", "list"),
)


EMPTY = "python -c pass"


class Spent(NamedTuple):
    """Time of one run."""

    seconds: float
    cpu_seconds: float


class Row(NamedTuple):
    """Medians of all rounds."""

    seconds: float
    multiple: float
    cpu_seconds: float
    cpu_multiple: float


def main() -> int:
    """Measure, and print the result as a table for a page, or as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with _deployment(options.home, options.events) as home:
        found = measure(options.rounds, home)
    rows = {command: _compare(spent, found[EMPTY]) for command, spent in found.items()}
    if options.json:
        print(json.dumps({command: row._asdict() for command, row in rows.items()}))
        return 0
    print("| command | seconds | times an empty Python | processor time, s | times |")
    print("| --- | --- | --- | --- | --- |")
    for command, row in rows.items():
        print(
            f"| `{command}` | {row.seconds:.3f} | {row.multiple:.1f} "
            f"| {row.cpu_seconds:.3f} | {row.cpu_multiple:.1f} |"
        )
    return 0


def _compare(spent: list[Spent], empty: list[Spent]) -> Row:
    pairs = list(zip(spent, empty, strict=True))
    return Row(
        statistics.median(one.seconds for one in spent),
        statistics.median(one.seconds / least.seconds for one, least in pairs),
        statistics.median(one.cpu_seconds for one in spent),
        statistics.median(one.cpu_seconds / least.cpu_seconds for one, least in pairs),
    )


def measure(rounds: int, home: Path) -> dict[str, list[Spent]]:
    """Measure the time of each command in each round; one more round before is not counted."""
    environment = {**os.environ, "PRAVAH_HOME": str(home), "COLUMNS": "120"}
    pravah = (sys.executable, "-m", "pravah")
    completion = {
        "_PRAVAH_COMPLETE": "complete_bash",
        "COMP_WORDS": COMPLETED,
        "COMP_CWORD": str(COMPLETED.count(" ")),
    }
    found: dict[str, list[Spent]] = {}
    for number in range(rounds + 1):
        times = {EMPTY: _time((sys.executable, "-c", "pass"), environment)}
        for arguments in HELP:
            times[" ".join(("pravah", *arguments))] = _time((*pravah, *arguments), environment)
        times[f"{COMPLETED}⇥"] = _time(
            (sys.executable, "-m", "pravah"), {**environment, **completion}
        )
        for arguments in ASKING:
            times[" ".join(("pravah", *arguments))] = _time((*pravah, *arguments), environment)
        if number:
            for command, took in times.items():
                found.setdefault(command, []).append(took)
    return found


def _time(arguments: tuple[str, ...], environment: Mapping[str, str]) -> Spent:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        arguments, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = Spent(
        time.perf_counter() - began,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )
    if done.returncode or (arguments[-1] != "pass" and not done.stdout):
        sys.exit(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return took


@contextmanager
def _deployment(home: Path | None, events: int) -> Iterator[Path]:
    """The folder of a stack with a folded campaign."""
    if home is not None:
        yield home.resolve()
        return
    from tests.support.folding import fold

    registry = read_registry_files(reference.registry_files())
    with (
        tempfile.TemporaryDirectory(prefix="pravah-start-") as folder,
        stack.running(Path(folder) / "home") as settings,
    ):
        prepare(settings, lambda _: None, registry=registry)
        simulated = simulate(
            registry,
            default_plan(),
            SimulationOptions(seed=3, first=FIRST, last=LAST, events=events),
        )
        bodies = [json.loads(one.value or b"") for one in simulated if one.sort != "broken"]
        fold(settings.clickhouse, registry, bodies)
        yield settings.home


if __name__ == "__main__":
    sys.exit(main())
