"""Measure the time that the API adds to a query, and the memory of a large response.

    python benchmarks/api.py [--events 100000] [--requests 60] [--json]

`/v1/rollups` for all districts of Chhattisgarh, 180 days and six metrics as NDJSON, in turn with
the same query sent to ClickHouse directly. Then a response of a million rows, while the server's
resident size is sampled.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

import reference
import stack
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from operations.worker_processes import start_worker, stop_worker
from pravah.settings import Settings
from producers.simulator import SimulationOptions, simulate
from reference.defaults import default_plan
from sinks.api_tokens import create_token
from sinks.connection import connect

METRICS = [
    "posts_facebook",
    "posts_twitter",
    "members_digital",
    "members_manual",
    "incharges",
    "whatsapp_groups",
]
FIRST, LAST = date(2022, 2, 1), date(2022, 7, 30)
DIRECT = """
    SELECT day, level, unit, metric, value, verified_value FROM rollups
    WHERE level = 'district' AND day BETWEEN '{first}' AND '{last}' AND metric IN ({metrics})
    ORDER BY day, level, unit, metric FORMAT JSONEachRow
"""
MILLION = 1_000_000
WARM_UP = 5


def p95(seconds: list[float]) -> float:
    """Compute the 95th percentile."""
    return statistics.quantiles(seconds, n=20)[-1]


def main() -> int:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.folding import fold

    registry = read_registry_files(reference.registry_files())
    with (
        tempfile.TemporaryDirectory(prefix="pravah-api-") as folder,
        stack.running(Path(folder) / "home") as settings,
    ):
        prepare(settings, lambda _: None, registry=registry)
        simulated = simulate(
            registry,
            default_plan(),
            SimulationOptions(seed=3, first=FIRST, last=LAST, events=options.events),
        )
        fold(
            settings.clickhouse,
            registry,
            [json.loads(one.value or b"") for one in simulated if one.sort != "broken"],
        )
        with connect(settings.clickhouse, "writer") as client:
            secret = create_token(client, name="bench", unit="IN", kinds=["figures"], days=1)
            # a figure for each unit and day, so that a response has a million rows
            client.execute(
                "INSERT INTO journal SELECT 'booth', 'doors_visited', "
                "concat('CG-AC001-B', leftPad(toString(number % 250), 4, '0')), "
                "toDate('2010-01-01') + intDiv(number, 250), 0, 0, 1, 0, 1, 1, now64(3) "
                f"FROM numbers({MILLION})"
            )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ["PRAVAH_API_RATE"] = "100000/minute"
        process = start_worker(
            settings,
            Path(folder) / "api.log",
            program=("-m", "pravah", "api", "--port", str(port)),
        )
        try:
            found = measure(settings, port, secret, options.requests, process.pid)
        finally:
            stop_worker(process)
    if options.json:
        print(json.dumps(found))
        return 0
    table = Table("", "API", "ClickHouse directly", "ratio")
    for name in ("p50", "p95"):
        api, direct = found[f"api_{name}"], found[f"direct_{name}"]
        table.add_row(
            f"{name}, ms, {found['rows']:,} rows",
            f"{api * 1000:.1f}",
            f"{direct * 1000:.1f}",
            f"{api / direct:.2f}",
        )
    Console().print(table)
    print(
        f"{found['million_rows']:,} rows as NDJSON: {found['million_mib']:.0f} MiB sent; "
        f"resident size of the server {found['rss_before']:.0f} MiB before, "
        f"at most {found['rss_max']:.0f} MiB meanwhile"
    )
    return 0


def measure(
    settings: Settings, port: int, secret: str, requests: int, pid: int
) -> dict[str, float]:
    """Measure everything: seconds, rows and MiB, by name."""
    api = httpx2.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"},
        timeout=120,
    )
    account = settings.clickhouse.users["aicc"]
    credentials = {
        "X-ClickHouse-User": account.user,
        "X-ClickHouse-Key": account.password.get_secret_value(),
    }
    direct = httpx2.Client(
        base_url=f"http://127.0.0.1:{settings.clickhouse.http_port}",
        headers=credentials,
        params={"database": settings.clickhouse.database},
        timeout=120,
    )
    while True:
        try:
            if api.get("/readyz").status_code == httpx2.codes.OK:
                break
        except httpx2.TransportError:
            time.sleep(0.1)
    wanted = {
        "level": "district",
        "from": str(FIRST),
        "to": str(LAST),
        "metric": METRICS,
        "format": "ndjson",
    }
    query = DIRECT.format(
        first=FIRST, last=LAST, metrics=", ".join(f"'{metric}'" for metric in METRICS)
    )
    seconds: dict[str, list[float]] = {"api": [], "direct": []}
    for number in range(requests + WARM_UP):
        began = time.perf_counter()
        one = api.get("/v1/rollups", params=wanted)
        between = time.perf_counter()
        other = direct.post("/", content=query.encode())
        ended = time.perf_counter()
        rows = one.text.count("\n")
        if one.status_code != httpx2.codes.OK or rows != other.text.count("\n") or not rows:
            msg = (
                f"the responses differ: {one.status_code} {rows} "
                f"{other.status_code} {other.text[:300]}"
            )
            raise SystemExit(msg)
        if number >= WARM_UP:
            seconds["api"].append(between - began)
            seconds["direct"].append(ended - between)
    server = psutil.Process(pid)
    before = highest = server.memory_info().rss
    lines = size = 0
    with api.stream(
        "GET",
        "/v1/rollups",
        params={"level": "booth", "metric": ["doors_visited"], "format": "ndjson"},
    ) as answer:
        for piece in answer.iter_bytes():
            lines, size = lines + piece.count(b"\n"), size + len(piece)
            highest = max(highest, server.memory_info().rss)
    mib = 2**20
    return {
        "rows": rows,
        **{
            f"{who}_{name}": value
            for who, times in seconds.items()
            for name, value in (("p50", statistics.median(times)), ("p95", p95(times)))
        },
        "million_rows": lines,
        "million_mib": size / mib,
        "rss_before": before / mib,
        "rss_max": highest / mib,
    }


if __name__ == "__main__":
    sys.exit(main())
