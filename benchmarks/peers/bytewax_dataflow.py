"""Bytewax: a dataflow that adds up what it reads batch by batch, gathers that for a second, folds it to all levels, and adds it to ClickHouse. See `peer.py`.

Written as one would who knows Bytewax well: no item of the dataflow is an event, each is a batch; state is what waits for the next second alone, so that a snapshot is small; recovery is on, with an epoch a
second. What was written since the last snapshot is written again after a kill, and ClickHouse adds it up.

Its name is not that of the library, which it would hide from itself.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.counting import Counting, Totals
from benchmarks.peers.peer import ADDITIVE, FLUSH_SECONDS, Figures, Progress, counting, options
from pravah.settings import Settings
from pravah.topics import EVENTS

NAME = "bytewax_dataflow"
_BATCH = 5_000


class Gather(StatefulBatchLogic[Totals, Totals, Totals]):
    """Adds totals up until a second is over."""

    def __init__(self, totals: Totals | None) -> None:
        """Begin with what a snapshot had."""
        self._totals: Totals = totals or {}
        self._due = datetime.now(UTC) + timedelta(seconds=FLUSH_SECONDS)

    def on_batch(self, values: list[Totals]) -> tuple[Iterable[Totals], bool]:
        """Add."""
        totals = self._totals
        for some in values:
            for key, amount in some.items():
                totals[key] = totals.get(key, 0) + amount
        return (), self.RETAIN

    def on_notify(self) -> tuple[Iterable[Totals], bool]:
        """Pass on what there is."""
        totals, self._totals = self._totals, {}
        self._due = datetime.now(UTC) + timedelta(seconds=FLUSH_SECONDS)
        return [totals], self.RETAIN

    def on_eof(self) -> tuple[Iterable[Totals], bool]:
        """The same at the end of the log."""
        return [self._totals], self.DISCARD

    def notify_at(self) -> datetime:
        """When the second is over."""
        return self._due

    def snapshot(self) -> Totals:
        """What waits."""
        return dict(self._totals)


class ClickHouse(DynamicSink[tuple[str, Totals]], StatelessSinkPartition[tuple[str, Totals]]):
    """Folds totals and writes figures; when the time is over it ends the process."""

    def __init__(self, settings: Settings, counted: Counting, progress: Progress) -> None:
        """Connect."""
        self._figures, self._counted, self._progress = Figures(settings, NAME), counted, progress

    def build(self, *_: Any) -> "ClickHouse":
        """There is one worker."""
        return self

    def write_batch(self, items: list[tuple[str, Totals]]) -> None:
        """Write."""
        for _, totals in items:
            self._figures.insert(self._counted.fold(totals))
        if self._progress.timed_out:
            self._progress.tell()
            os._exit(0)


def dataflow(settings: Settings, counted: Counting, progress: Progress) -> Dataflow:
    """From the log to ClickHouse; it ends at the log's end."""

    def count(messages: list[KafkaSourceMessage[bytes, bytes]]) -> Iterable[tuple[str, Totals]]:
        progress.begin()
        totals: Totals = {}
        counted.add([message.value for message in messages], totals)
        progress.events += len(messages)
        yield "all", totals

    flow = Dataflow("figures")
    source = KafkaSource(
        settings.kafka.bootstrap_servers.split(","),
        [EVENTS],
        tail=False,
        batch_size=_BATCH,
        add_config={"statistics.interval.ms": 0, "fetch.queue.backoff.ms": 10},
    )
    batches = op.flat_map_batch("count", op.input("log", flow, source), count)
    op.output(
        "clickhouse",
        op.stateful_batch("gather", batches, Gather),
        ClickHouse(settings, counted, progress),
    )
    return flow


if __name__ == "__main__":
    chosen, configured = options(__doc__, ADDITIVE, NAME), Settings()
    saved = configured.home / NAME / chosen.run
    if not saved.exists():
        saved.mkdir(parents=True)
        init_db_dir(saved, 1)
    run = Progress.of(configured.kafka, chosen.seconds)
    cli_main(
        dataflow(configured, counting(), run),
        epoch_interval=timedelta(seconds=FLUSH_SECONDS),
        recovery_config=RecoveryConfig(saved, timedelta(0)),
    )
    run.tell()
