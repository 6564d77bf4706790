"""Quix Streams with state: a StreamingDataFrame that keeps the amounts of units and of lines.

The state has the amounts that each unit reported, and those of the units below each line of
ancestors. Absolute figures go to ClickHouse at each checkpoint. `peer.py` describes how it is run.

Written as an expert in Quix Streams would: the state has the topic's own key, so nothing is
repartitioned; an event costs two reads and two writes of small entries, however many metrics and
levels it has; an entry that changed several times between two checkpoints is written to ClickHouse
once; the newest row of an origin counts, so rows written again after a kill change nothing.
"""

import time
from datetime import date
from typing import Any

from quixstreams import Application, State
from quixstreams.sinks.base import BaseSink

from benchmarks.peers.counting import EventCounter
from benchmarks.peers.peer import ABSOLUTE, FLUSH_SECONDS, Figures, Progress, make_counter, options
from pravah.settings import Settings
from pravah.topics import EVENTS

NAME = "quix"

# Message key, unit or line, day.
Entry = tuple[str, str, date]
Amounts = dict[str, int]


class ClickHouse(BaseSink):
    """Keeps the last value of each entry, and writes these values at a checkpoint.

    Args:
        settings: those of the stack.
        counted: knows the lines of ancestors.
        progress: the run.
        stop: called after the last record.
    """

    def __init__(
        self,
        settings: Settings,
        counted: EventCounter,
        progress: Progress,
        stop: Any,
    ) -> None:
        super().__init__()
        self._figures = Figures(
            settings, NAME, ("level", "unit", "metric", "day", "origin", "value", "version")
        )
        self._counted, self._progress, self._stop = counted, progress, stop
        self._units: dict[Entry, tuple[str, Amounts]] = {}
        self._lines: dict[tuple[str, int, date], Amounts] = {}

    def add(
        self,
        value: Any,
        key: Any,
        timestamp: int,  # noqa: ARG002
        headers: Any,  # noqa: ARG002
        topic: str,  # noqa: ARG002
        partition: int,
        offset: int,
    ) -> None:
        """Keep the amounts after one event."""
        if value is not None:
            unit, day, place, own, above = value
            key = key or f"partition {partition}"  # state is kept by partition and key
            self._units[key, unit, day] = place.level, own
            self._lines[key, place.line, day] = above
        self._progress.read(partition, offset + 1, 1)
        if self._progress.is_over:
            self._stop()

    def flush(self) -> None:
        """Write the entries that changed since the last checkpoint."""
        version = time.time_ns()
        rows: tuple[list[Any], ...] = ([], [], [], [], [], [])
        levels, units, metrics, days, origins, values = rows
        for (key, unit, day), (level, amounts) in self._units.items():
            for metric, amount in amounts.items():
                levels.append(level)
                units.append(unit)
                metrics.append(metric)
                days.append(day)
                origins.append(key)
                values.append(amount)
        for (key, line, day), amounts in self._lines.items():
            origin = f"{key}>{self._counted.names[line]}"
            for level, unit in self._counted.lines[line]:
                for metric, amount in amounts.items():
                    levels.append(level)
                    units.append(unit)
                    metrics.append(metric)
                    days.append(day)
                    origins.append(origin)
                    values.append(amount)
        self._figures.insert([*rows, [version] * len(levels)])
        self._units.clear()
        self._lines.clear()


def run(settings: Settings, name: str, counted: EventCounter, progress: Progress) -> None:
    """Count to the end of the run."""
    app = Application(
        broker_address=settings.kafka.bootstrap_servers,
        consumer_group=name,
        auto_offset_reset="earliest",
        commit_interval=FLUSH_SECONDS,
        state_dir=settings.home / NAME / name,
        consumer_extra_config={
            # the successor of a killed process does not wait for the session to end
            "group.instance.id": name,
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 10,
        },
        producer_extra_config={"compression.type": "lz4", "linger.ms": 20},
        loglevel="WARNING",
    )
    events = app.dataframe(app.topic(EVENTS, key_deserializer="str", value_deserializer="bytes"))

    def count(raw: bytes, state: State) -> Any:
        progress.begin()
        found = counted.read(raw)
        if found is None:
            return None
        unit, day, place, amounts = found
        own_key, above_key = f"{unit}|{day}", f"{counted.names[place.line]}|{day}"
        own, above = state.get(own_key) or {}, state.get(above_key) or {}
        for metric, amount in amounts:
            own[metric] = own.get(metric, 0) + amount
            above[metric] = above.get(metric, 0) + amount
        state.set(own_key, own)
        state.set(above_key, above)
        return unit, day, place, own, above

    events.apply(count, stateful=True).sink(ClickHouse(settings, counted, progress, app.stop))
    app.run(timeout=5.0)  # a run with nothing left to read ends
    progress.print_result()


if __name__ == "__main__":
    chosen, configured = options(__doc__, ABSOLUTE, NAME), Settings()
    run(
        configured,
        chosen.run,
        make_counter(),
        Progress.of(configured.kafka, chosen.seconds, chosen.run),
    )
