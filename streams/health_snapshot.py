"""A worker's own view of how it is, for `streams.health` to judge."""

import time
from collections.abc import Callable

from faust.types import TP

from streams.health import PartitionState, WorkerState
from streams.transport import BatchApp
from streams.worker import Progress, Worker


class Watch:
    """Looks at the app and the worker without waiting for either."""

    def __init__(
        self,
        app: BatchApp,
        worker: Worker,
        *,
        failing: Callable[[], int],
        recovered_at: Callable[[], float],
        registry: str,
    ) -> None:
        """Begin.

        Args:
            app: knows the assigned partitions and the end of the log.
            worker: knows how far it has come.
            failing: attempts of the ClickHouse call in progress that failed.
            recovered_at: when ClickHouse last answered after it had not, epoch seconds.
            registry: fingerprint of the registry that the worker folds under.
        """
        self._app, self._worker, self._failing, self._recovered_at, self._registry = (
            app,
            worker,
            failing,
            recovered_at,
            registry,
        )
        self.started = time.time()
        self.assigned = False
        """Whether Kafka has assigned partitions, be it none."""
        self._unread: dict[int, tuple[int, float]] = {}
        """Partition → the end of the log that was not read when it was first seen, and when that was."""

    def state(self) -> WorkerState:
        """How it is now."""
        now = time.time()
        ours = sorted(
            (tp for tp in self._app.consumer.assignment() if tp.topic == self._app.batched_topic),
            key=lambda tp: tp.partition,
        )
        return WorkerState(
            now=now,
            started=self.started,
            assigned=self.assigned,
            partitions=tuple(self._partition(tp, now) for tp in ours),
            clickhouse_failing=self._failing(),
            last_progress=max(self._worker.last_progress, self._recovered_at()),
            failure=self._worker.failure,
            registry=self._registry,
        )

    def _partition(self, tp: TP, now: float) -> PartitionState:
        progress = self._worker.progress.get(tp.partition, Progress())
        released = self._app.committable_offsets.get(tp, self._app.begun.get(tp))
        end = self._app.consumer.highwater(tp)
        waiting = [
            since / 1000
            for since in (progress.writing_since, progress.unwritten_since)
            if since is not None
        ]
        durable = progress.durable if progress.durable is not None else released
        if not waiting and end is not None and durable is not None and durable < end:
            # not read yet, so its append time is not known: it waits since it was first seen
            seen_end, since = self._unread.setdefault(tp.partition, (end, now))
            if durable >= seen_end:
                self._unread[tp.partition] = (end, now)
                since = now
            waiting.append(since)
        else:
            self._unread.pop(tp.partition, None)
        opened_at = None if progress.opened_at is None else progress.opened_at / 1000
        return PartitionState(
            tp.partition, end, durable, released, min(waiting, default=None), opened_at
        )
