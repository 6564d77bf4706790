"""Bytewax: a dataflow that sums each batch, gathers the sums for a second, and folds them.

The figures of all levels are added up in ClickHouse. `peer.py` describes how it is run.

Written as an expert in Bytewax would: an item of the dataflow is a batch, not an event; the state
is only the sums of the current second, so that a snapshot is small; recovery is on, with an epoch a
second. After a kill the figures since the last snapshot are written again, and ClickHouse adds them
up a second time.

The module does not have the library's name, because it could not import the library then.
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

from benchmarks.peers.counting import EventCounter, Totals
from benchmarks.peers.peer import ADDITIVE, FLUSH_SECONDS, Figures, Progress, make_counter, options
from pravah.settings import Settings
from pravah.topics import EVENTS

NAME = "bytewax_dataflow"
_BATCH = 5_000


class Gather(StatefulBatchLogic[Totals, Totals, Totals]):
    """Sums totals for a second."""

    def __init__(self, totals: Totals | None) -> None:
        self._totals: Totals = totals or {}
        self._due = datetime.now(UTC) + timedelta(seconds=FLUSH_SECONDS)

    def on_batch(self, values: list[Totals]) -> tuple[Iterable[Totals], bool]:
        """Add the totals of batches."""
        totals = self._totals
        for some in values:
            for key, amount in some.items():
                totals[key] = totals.get(key, 0) + amount
        return (), self.RETAIN

    def on_notify(self) -> tuple[Iterable[Totals], bool]:
        """Emit the totals of the second."""
        totals, self._totals = self._totals, {}
        self._due = datetime.now(UTC) + timedelta(seconds=FLUSH_SECONDS)
        return [totals], self.RETAIN

    def on_eof(self) -> tuple[Iterable[Totals], bool]:
        """Emit the totals at the end of the log."""
        return [self._totals], self.DISCARD

    def notify_at(self) -> datetime:
        """When the second ends."""
        return self._due

    def snapshot(self) -> Totals:
        """The totals that have not been emitted."""
        return dict(self._totals)


class ClickHouse(DynamicSink[tuple[str, Totals]], StatelessSinkPartition[tuple[str, Totals]]):
    """Folds totals and writes figures; ends the process when the time is up."""

    def __init__(self, settings: Settings, counted: EventCounter, progress: Progress) -> None:
        self._figures, self._counted, self._progress = Figures(settings, NAME), counted, progress

    def build(self, *_: Any) -> "ClickHouse":
        """Return the one partition of the sink: there is one worker."""
        return self

    def write_batch(self, items: list[tuple[str, Totals]]) -> None:
        """Write the figures of totals."""
        for _, totals in items:
            self._figures.insert(self._counted.fold(totals))
        if self._progress.is_timed_out:
            self._progress.print_result()
            os._exit(0)


def dataflow(settings: Settings, counted: EventCounter, progress: Progress) -> Dataflow:
    """Build the dataflow from the log to ClickHouse; it ends at the end of the log."""

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
        dataflow(configured, make_counter(), run),
        epoch_interval=timedelta(seconds=FLUSH_SECONDS),
        recovery_config=RecoveryConfig(saved, timedelta(0)),
    )
    run.print_result()
