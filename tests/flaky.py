"""Run tests many times, beside busy processes, and print which of them do not always pass.

    python -m tests.flaky [--runs 20] [--busy 2] [--json] [PATH …]

Without paths it runs every test that starts a worker (marker `worker`). Each run is a pytest
process of its own with its own servers. Exit 1 if any test failed in any run.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="tests to run; default: all that start workers")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", type=int, default=2, help="busy processes beside the tests")
    parser.add_argument("--processes", type=int, default=2, help="pytest processes")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    outcomes: dict[str, list[float | None]] = defaultdict(list)
    failures: dict[str, str] = {}
    with busy_processes(options.busy):
        for number in range(options.runs):
            began, known = time.monotonic(), set(failures)
            run_once(options.paths, options.processes, outcomes, failures)
            print(
                f"run {number + 1} of {options.runs}: {time.monotonic() - began:.0f} s, "
                f"{len(failures)} tests have failed so far",
                *(f"{name}\n{failures[name]}" for name in failures.keys() - known),
                sep="\n",
                file=sys.stderr,
                flush=True,
            )
    if options.json:
        print(json.dumps({"runs": options.runs, "busy": options.busy, "tests": outcomes}))
    else:
        show(outcomes, failures)
    return 1 if failures or not outcomes else 0


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep `count` processor cores busy for the length of a block."""
    processes = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def spin() -> None:
    while True:
        sum(range(100_000))


def run_once(
    paths: list[str],
    processes: int,
    outcomes: dict[str, list[float | None]],
    failures: dict[str, str],
) -> None:
    """Run the tests once; add each one's seconds to `outcomes`, None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--numprocesses", str(processes)]
        command += ["--dist", "loadfile", f"--junitxml={report}", *(paths or ["-m", "worker"])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not report.is_file():
            sys.exit(f"pytest wrote no report:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        for case in ET.parse(report).iter("testcase"):
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            problem = next((c for c in case if c.tag in {"failure", "error"}), None)
            outcomes[name].append(None if problem is not None else float(case.get("time", "0")))
            if problem is not None:
                failures.setdefault(name, (problem.text or "").strip()[-1500:])


def show(outcomes: dict[str, list[float | None]], failures: dict[str, str]) -> None:
    """Print a row for each test: runs, failures, and its seconds."""
    table = Table("test", "runs", "failed", "min s", "median s", "max s", box=None)
    for name, results in sorted(outcomes.items(), key=lambda item: item[0]):
        passed = sorted(seconds for seconds in results if seconds is not None)
        times = (
            [f"{passed[0]:.1f}", f"{passed[len(passed) // 2]:.1f}", f"{passed[-1]:.1f}"]
            if passed
            else ["-"] * 3
        )
        table.add_row(name, str(len(results)), str(results.count(None)), *times)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for name, text in failures.items():
        print(f"\n{name}\n{text}")
    total = sum(map(len, outcomes.values()))
    print(f"\n{len(outcomes)} tests, {total} results, {len(failures)} tests failed at least once")


if __name__ == "__main__":
    sys.exit(main())
