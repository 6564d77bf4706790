"""Measure the time to load a dashboard, for one viewer and for ten at once.

It sends the query of every panel, as the Grafana user, to the stack of PRAVAH_HOME. A viewer sends
six queries at a time, as a browser does; the load ends with the last response. Run `pravah up`, a
worker, and `pravah simulate` first; run nothing else beside it.

    .venv/bin/python benchmarks/dashboards.py --to 2022-06-24 --viewers 10 --rounds 5
"""

import argparse
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clickhouse_driver import Client

from grafana.build import dashboards
from pravah.days import KOLKATA
from pravah.settings import Settings
from sinks.connection import connect
from tests.support.grafana_sql import as_sent

# Requests of a browser to one server at a time.
MAX_CONCURRENT = 6
UNITS = {"pravah-district": "CG-D-RPR", "pravah-assembly": "CG-AC048", "pravah-explain": "CG-D-RPR"}


class Viewer:
    """A browser. Each of its threads connects with its first query."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._local = settings, threading.local()
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT)

    def load(self, queries: list[str]) -> tuple[float, list[float]]:
        """Load a dashboard; returns the seconds of the whole load and of each query."""
        began = time.perf_counter()
        each = list(self._pool.map(self._query, queries))
        return time.perf_counter() - began, each

    def _query(self, query: str) -> float:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = connect(self._settings.clickhouse, "grafana")
        began = time.perf_counter()
        client.execute(query)
        return time.perf_counter() - began


def queries_of(client: Client, uid: str, to: datetime, days: int) -> dict[str, str]:
    """Collect the queries of a dashboard, by the number and the title of the panel.

    Args:
        client: reads the milestones and metrics, all of which are selected.
        uid: the dashboard.
        to: the end of its time range.
        days: the length of the range.
    """
    milestones = [row[0] for row in client.execute("SELECT DISTINCT milestone FROM milestones")]
    metrics = [row[0] for row in client.execute("SELECT metric FROM metrics")]
    chosen = {
        "unit": UNITS.get(uid, "CG"),
        "milestone": milestones,
        "metric": "members_digital" if uid == "pravah-explain" else metrics,
    }
    return {
        f"{panel['id']} {panel.get('title', '')}".strip(): as_sent(
            panel["targets"][0]["rawSql"], to - timedelta(days=days), to, chosen
        )
        for panel in dashboards()[uid]["panels"]
        if "rawSql" in panel["targets"][0]
    }


def p95(values: list[float]) -> float:
    """Compute the 95th percentile."""
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", required=True, help="the last day shown, such as 2022-06-24")
    parser.add_argument("--days", type=int, default=30, help="length of the time range")
    parser.add_argument("--dashboard", action="append", help="only this one; may be repeated")
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    settings = Settings()
    last = datetime.fromisoformat(options.to).replace(hour=18, tzinfo=KOLKATA)
    with connect(settings.clickhouse, "grafana") as client:
        queries_by_uid = {
            uid: list(queries_of(client, uid, last, options.days).values()) for uid in dashboards()
        }
        rows = {
            table: client.execute(f"SELECT count() FROM {table}")[0][0]
            for table in ("ledger", "journal", "units")
        }
        pulled = client.execute(
            "SELECT count() FROM system.tables "
            "WHERE database = currentDatabase() AND name = 'pulled_rollups'"
        )[0][0]
    print(", ".join(f"{table}: {count:,} rows" for table, count in rows.items()))
    print(
        "| dashboard | queries | one viewer, p50 ms | p95 | slowest query, p50 "
        "| viewers at once | p50 | p95 |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for uid, queries in queries_by_uid.items():
        if (uid == "pravah-aicc-copy" and not pulled) or uid not in (options.dashboard or [uid]):
            continue
        viewers = [Viewer(settings) for _ in range(options.viewers)]
        viewers[0].load(queries)
        alone = [viewers[0].load(queries) for _ in range(options.rounds)]
        slowest = max(
            statistics.median(each) for each in zip(*(each for _, each in alone), strict=True)
        )
        with ThreadPoolExecutor(options.viewers) as together:
            for viewer in viewers:
                viewer.load(queries[:1])
            loads = [
                took
                for _ in range(options.rounds)
                for took, _ in together.map(
                    lambda viewer, queries=queries: viewer.load(queries), viewers
                )
            ]
        once = [took for took, _ in alone]
        shown = (
            statistics.median(once),
            p95(once),
            slowest,
            options.viewers,
            statistics.median(loads),
            p95(loads),
        )
        print(
            f"| {uid} | {len(queries)} | "
            + " | ".join(
                str(value) if isinstance(value, int) else f"{value * 1000:.0f}" for value in shown
            )
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
