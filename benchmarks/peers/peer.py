"""What every Python peer does alike: its options, its table, where the log ends, its last line.

    python benchmarks/peers/NAME.py --create --run ID
    python benchmarks/peers/NAME.py --run ID --seconds 15

`--create` makes the table `bench_figures_NAME` in Pravah's database. Without it the peer reads `activity.events` from the beginning, in a consumer group of its own that is named after the run, counts
figures of all six levels into that table, and ends at the end that the log had when it began, or so many seconds after its first record. The last line it prints is JSON:

    {"events": 1000000, "seconds": 12.3}

The seconds are those from its first record to its last durable figure. Run again with the same ID it goes on where it was.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

import reference
from benchmarks.peers.counting import Counting
from pravah.kafka import client_options
from pravah.settings import KafkaSettings, Settings
from pravah.topics import EVENTS
from schemas.metrics import MetricDictionary
from schemas.registry_readers import registry_from_csv
from sinks.connection import connect

FLUSH_SECONDS = 1.0
"""As Pravah's."""
ADDITIVE = "(level LowCardinality(String), unit String, metric LowCardinality(String), day Date, value Int64) ENGINE = SummingMergeTree ORDER BY (level, unit, metric, day)"
"""Columns of a table to which amounts are added."""
ABSOLUTE = """(level LowCardinality(String), unit String, metric LowCardinality(String), day Date, origin String, value Int64, version UInt64)
ENGINE = ReplacingMergeTree(version) ORDER BY (level, unit, metric, day, origin)"""
"""Columns of a table whose newest row of an origin counts; a figure is the sum over its origins."""


def options(
    description: str | None, columns: str | None, name: str, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """The options of a run. With `--create` the table is made and the process ends.

    Args:
        description: the peer's own docstring.
        columns: the columns and engine of its table; None if it writes nothing.
        name: its file's stem.
        arguments: the command line's if not given.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", required=True, metavar="ID", help="names the consumer group and the saved state"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="how long it reads at most")
    parser.add_argument("--create", action="store_true", help="make its table anew, and end")
    chosen = parser.parse_args(arguments)
    if chosen.create:
        if columns:
            with connect(Settings().clickhouse, "writer") as client:
                client.execute(f"DROP TABLE IF EXISTS {table(name)} SYNC")
                client.execute(f"CREATE TABLE {table(name)} {columns}")
        sys.exit(0)
    return chosen


def table(name: str) -> str:
    """Where a peer's figures are. It lies in Pravah's database, the only one that the account may write to."""
    return f"bench_figures_{name}"


def counting() -> Counting:
    """What counts by the registry and the metric dictionary that come with Pravah."""
    registry = registry_from_csv(
        {
            str(path): path.read_text(encoding="utf-8").splitlines()
            for path in reference.registry_files()
        }
    )
    return Counting(
        registry, MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))
    )


class Figures:
    """Writes rows into a peer's table. Not thread-safe."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        columns: Sequence[str] = ("level", "unit", "metric", "day", "value"),
    ) -> None:
        """Connect."""
        self._client = connect(settings.clickhouse, "writer")
        self._statement = f"INSERT INTO {table(name)} ({', '.join(columns)}) VALUES"

    def insert(self, columns: Iterable[Sequence[Any]]) -> None:
        """Insert columns and wait until they are durable."""
        data = list(columns)
        if data[0]:
            self._client.execute(self._statement, data, columnar=True)


@dataclass
class Progress:
    """How far a run is, from its first record to the ends that the log had when it began."""

    ends: dict[int, int]
    """Partition → the offset behind the last record to read, of those that are not read yet."""
    seconds: float
    events: int = 0
    began: float = 0.0
    """On the clock `time.perf_counter`; 0 before the first record."""

    @classmethod
    def of(cls, kafka: KafkaSettings, seconds: float, group: str | None = None) -> "Progress":
        """Look where the log ends, and leave out partitions that the group has read."""
        consumer = KafkaConsumer(**client_options(kafka), group_id=group, enable_auto_commit=False)
        partitions = [
            TopicPartition(EVENTS, number) for number in consumer.partitions_for_topic(EVENTS) or ()
        ]
        found = consumer.end_offsets(partitions)
        done = {
            one.partition: (consumer.committed(one) if group else None) or 0 for one in partitions
        }
        consumer.close()
        return cls(
            {one.partition: int(end) for one, end in found.items() if end > done[one.partition]},
            seconds,
        )

    def begin(self) -> None:
        """Take that records were fetched; the first time counts."""
        if not self.began:
            self.began = time.perf_counter()

    def read(self, partition: int, following: int, count: int) -> None:
        """Take that `count` records of a partition were dealt with, and which offset follows them."""
        self.events += count
        if following >= self.ends.get(partition, following + 1):
            del self.ends[partition]

    @property
    def over(self) -> bool:
        """Whether nothing is left to read, or the time is over."""
        return not self.ends or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether the time is over."""
        return self.began > 0 and time.perf_counter() - self.began >= self.seconds

    def tell(self) -> None:
        """Print the last line. Everything must be durable now."""
        passed = time.perf_counter() - self.began if self.began else 0.0
        print(json.dumps({"events": self.events, "seconds": round(passed, 3)}), flush=True)
