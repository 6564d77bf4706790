"""The common part of the Python peers: options, table of figures, end of the log, result.

    python benchmarks/peers/NAME.py --create --run ID
    python benchmarks/peers/NAME.py --run ID --seconds 15

`--create` creates the table `bench_figures_NAME` in Pravah's database. Without it the peer reads
`activity.events` from the beginning, in a consumer group named after the run, counts figures of all
six levels into that table, and ends where the log ended when it began, or so many seconds after its
first record. Its last line of output is JSON:

    {"events": 1000000, "seconds": 12.3}

`seconds` is the time from its first record to its last durable figure. Another run with the same ID
continues where this one ended.
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
from benchmarks.peers.counting import EventCounter
from pravah.kafka import client_options
from pravah.settings import KafkaSettings, Settings
from pravah.topics import EVENTS
from schemas.metrics import MetricDictionary
from schemas.registry_readers import registry_from_csv
from sinks.connection import connect

# The flush interval of Pravah's worker.
FLUSH_SECONDS = 1.0
_KEY_COLUMNS = "level LowCardinality(String), unit String, metric LowCardinality(String), day Date"
# A table to which amounts are added.
ADDITIVE = (
    f"({_KEY_COLUMNS}, value Int64) ENGINE = SummingMergeTree ORDER BY (level, unit, metric, day)"
)
# A table in which the newest row of an origin counts; a figure is the sum over its origins.
ABSOLUTE = (
    f"({_KEY_COLUMNS}, origin String, value Int64, version UInt64) "
    "ENGINE = ReplacingMergeTree(version) ORDER BY (level, unit, metric, day, origin)"
)


def options(
    description: str | None, columns: str | None, name: str, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse the options of a run. With `--create` the table is created and the process ends.

    Args:
        description: the peer's own docstring.
        columns: columns and engine of its table; None if it writes no figures.
        name: the stem of its file.
        arguments: those of the command line if not given.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", required=True, metavar="ID", help="name of the consumer group and the saved state"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="maximum time of reading")
    parser.add_argument("--create", action="store_true", help="recreate its table, and end")
    chosen = parser.parse_args(arguments)
    if chosen.create:
        if columns:
            with connect(Settings().clickhouse, "writer") as client:
                client.execute(f"DROP TABLE IF EXISTS {table(name)} SYNC")
                client.execute(f"CREATE TABLE {table(name)} {columns}")
        sys.exit(0)
    return chosen


def table(name: str) -> str:
    """The table of a peer's figures.

    It is in Pravah's database, the only one to which the account may write.
    """
    return f"bench_figures_{name}"


def make_counter() -> EventCounter:
    """Make a counter for the registry and the metric dictionary that come with Pravah."""
    registry = registry_from_csv(
        {
            str(path): path.read_text(encoding="utf-8").splitlines()
            for path in reference.registry_files()
        }
    )
    return EventCounter(
        registry, MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))
    )


class Figures:
    """Inserts figures into a peer's table. Not thread-safe."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        columns: Sequence[str] = ("level", "unit", "metric", "day", "value"),
    ) -> None:
        self._client = connect(settings.clickhouse, "writer")
        self._statement = f"INSERT INTO {table(name)} ({', '.join(columns)}) VALUES"

    def insert(self, columns: Iterable[Sequence[Any]]) -> None:
        """Insert columns, and wait until they are durable."""
        data = list(columns)
        if data[0]:
            self._client.execute(self._statement, data, columnar=True)


@dataclass
class Progress:
    """The progress of a run, from its first record to where the log ended when it began."""

    ends: dict[int, int]
    """End offset by partition, of the partitions that are not read to the end."""
    seconds: float
    events: int = 0
    began: float = 0.0
    """Time of the first record by `time.perf_counter`; 0 before it."""

    @classmethod
    def of(cls, kafka: KafkaSettings, seconds: float, group: str | None = None) -> "Progress":
        """Read the end offsets of the log, without partitions that the group has read."""
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
        """Note that records were fetched. The first call begins the run."""
        if not self.began:
            self.began = time.perf_counter()

    def read(self, partition: int, following: int, count: int) -> None:
        """Note that records of a partition were processed.

        Args:
            partition: their partition.
            following: the offset after the last one.
            count: how many they are.
        """
        self.events += count
        if following >= self.ends.get(partition, following + 1):
            del self.ends[partition]

    @property
    def is_over(self) -> bool:
        """Whether all partitions are read to their ends, or the time is up."""
        return not self.ends or self.is_timed_out

    @property
    def is_timed_out(self) -> bool:
        """Whether the time is up."""
        return self.began > 0 and time.perf_counter() - self.began >= self.seconds

    def print_result(self) -> None:
        """Print the result. All figures must be durable by now."""
        passed = time.perf_counter() - self.began if self.began else 0.0
        print(json.dumps({"events": self.events, "seconds": round(passed, 3)}), flush=True)
