"""A snapshot of a worker's state, for `streams.health` to judge."""

import time
from collections.abc import Callable

from faust.types import TP

from rollup.assigned_partition import Progress
from streams.health import PartitionState, WorkerState
from streams.transport import BatchApp
from streams.worker import Worker


class WorkerStateReader:
    """Reads the state of the app and the worker without waiting for either."""

    def __init__(
        self,
        app: BatchApp,
        worker: Worker,
        *,
        failing: Callable[[], int],
        recovered_at: Callable[[], float],
        registry: str,
    ) -> None:
        """Begin without an assignment.

        Args:
            app: has the assigned partitions and the end of the log.
            worker: has the progress of each partition.
            failing: returns the failed attempts of the ClickHouse call in progress.
            recovered_at: returns when ClickHouse first answered after it had been away, epoch
                seconds.
            registry: fingerprint of the worker's registry.
        """
        self._app = app
        self._worker = worker
        self._failing = failing
        self._recovered_at = recovered_at
        self._registry = registry
        self.started = time.time()
        """When the worker started, epoch seconds."""
        self.is_assigned = False
        """Whether Kafka has made an assignment, be it an empty one."""
        # Partition → an end of the log that was not read when it was first seen, and that time.
        self._unread: dict[int, tuple[int, float]] = {}

    def read(self) -> WorkerState:
        """Return the current state."""
        now = time.time()
        assigned = sorted(
            (tp for tp in self._app.consumer.assignment() if tp.topic == self._app.batched_topic),
            key=lambda tp: tp.partition,
        )
        return WorkerState(
            now=now,
            started=self.started,
            assigned=self.is_assigned,
            partitions=tuple(self._partition(tp, now) for tp in assigned),
            clickhouse_failing=self._failing(),
            last_progress=max(self._worker.last_progress, self._recovered_at()),
            failure=self._worker.failure,
            registry=self._registry,
        )

    def _partition(self, tp: TP, now: float) -> PartitionState:
        progress = self._worker.progress.get(tp.partition, Progress())
        released = self._app.committable_offsets.get(tp, self._app.start_offsets.get(tp))
        end = self._app.consumer.highwater(tp)
        pending = [
            since / 1000
            for since in (progress.writing_since, progress.unwritten_since)
            if since is not None
        ]
        durable = released if progress.durable_offset is None else progress.durable_offset
        if not pending and end is not None and durable is not None and durable < end:
            # Its append time is unknown until it is read: it waits since it was first seen.
            seen_end, since = self._unread.setdefault(tp.partition, (end, now))
            if durable >= seen_end:
                self._unread[tp.partition] = (end, now)
                since = now
            pending.append(since)
        else:
            self._unread.pop(tp.partition, None)
        opened_at = None if progress.opened_at is None else progress.opened_at / 1000
        return PartitionState(
            tp.partition, end, durable, released, min(pending, default=None), opened_at
        )
