"""The health of a worker: rules without I/O.

There are two questions, those of Kubernetes' probes. *Alive* is false only if a restart would help.
*Ready*: the figures of this worker's partitions are up to date. While ClickHouse is away a worker
is alive and not ready: it waits, and a restart would only make it fold everything again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# How long a record may wait, and how long a worker with waiting records may make no progress.
STALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PartitionState:
    """How far one assigned partition has come.

    Offsets are exclusive: all records below them are in the log, durable, released. None means
    unknown or absent.
    """

    partition: int
    end: int | None
    """Offset after the last record of the log."""
    durable: int | None
    """All records below it are in the figures."""
    released: int | None
    """All chunks below it are closed, so it may be committed. It is the start of the open chunk and
    therefore no measure of lag."""
    pending_since: float | None
    """Epoch seconds: append time of the oldest record that is not durable. For a record that was
    not read yet: the time at which it was first known to be in the log. None if nothing waits."""
    opened_at: float | None
    """Epoch seconds at which this worker opened the open chunk; None without one."""

    @property
    def known_durable(self) -> int | None:
        """`durable`; before this worker's first flush of the partition, `released`."""
        return self.released if self.durable is None else self.durable

    @property
    def lag_records(self) -> int | None:
        """Number of records that are in the log and not durable; None if unknown."""
        durable = self.known_durable
        # `end` is a moment old; the figures may be further by now.
        return None if self.end is None or durable is None else max(0, self.end - durable)

    def lag_seconds(self, now: float) -> float | None:
        """Return the age of the oldest record that is not durable, 0 if all are.

        None if the end of the log is unknown.
        """
        if self.pending_since is None:
            return None if self.end is None else 0.0
        return max(0.0, now - self.pending_since)  # the broker's clock may be ahead of ours

    def open_chunk_age_seconds(self, now: float) -> float | None:
        """Return the seconds since the open chunk was opened; None without one."""
        return None if self.opened_at is None else max(0.0, now - self.opened_at)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker's state at one moment. Times are epoch seconds."""

    now: float
    started: float
    assigned: bool
    """Whether the worker is a member of its group and got its assignment, which may be empty if
    there are fewer partitions than workers."""
    partitions: tuple[PartitionState, ...]
    clickhouse_failing: int
    """Failed attempts of the call in progress; 0 when ClickHouse answers."""
    last_progress: float
    """Time of the last fold, flush or close, of the last fill of a seen filter, or of ClickHouse's
    first answer after it was away."""
    failure: str | None
    """Why the worker has stopped counting; None while it counts."""
    registry: str
    """Fingerprint of its unit registry."""
    waits_for: str | None = None
    """What the worker waits for before it joins its group, such as a rebuild; None if nothing."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a worker is alive and ready, with the reasons if it is not."""

    alive: bool
    ready: bool
    reasons: tuple[str, ...]
    """Sentences for the person on call: what, where, what to do. Empty if the worker is alive and
    ready."""


def judge(state: WorkerState, *, stall_seconds: float = STALL_SECONDS) -> Health:
    """Judge a worker by its state.

    A failure of its own outweighs everything, as waiting does not cure it. The age of an open chunk
    has no effect: in an idle partition it stays open for hours.

    Args:
        state: of one moment.
        stall_seconds: above 0. A record that has waited so long makes the worker unready. A worker
            that made no progress for so long while records waited is not alive.
    """
    lags = {
        one.partition: lag
        for one in state.partitions
        if (lag := one.lag_seconds(state.now)) is not None
    }
    late = {partition: lag for partition, lag in lags.items() if lag >= stall_seconds}
    unknown = [one.partition for one in state.partitions if one.partition not in lags]
    stalled = _seconds_without_progress(state) >= stall_seconds and not state.clickhouse_failing
    reasons = []
    if state.failure is not None:
        reasons.append(
            f"The worker has stopped counting: {state.failure.rstrip('.')}. Remove the cause, "
            "then restart the worker; nothing is lost meanwhile."
        )
    if state.clickhouse_failing:
        reasons.append(
            "ClickHouse has not answered the worker's call after "
            f"{_count(state.clickhouse_failing, 'attempt')}. The worker keeps trying and loses "
            "nothing. Check that ClickHouse runs (`pravah status`), and in the worker's log why it "
            "refuses: unreachable, disk full, memory, too many parts."
        )
    elif stalled:
        reasons.append(
            f"The worker hangs: records wait in {_named(late)}, ClickHouse answers, and there was "
            f"no progress for {_seconds_without_progress(state):.0f} s. Restart the worker; if it "
            "hangs again, the end of its log shows at which step."
        )
    elif late:
        worst = max(late, key=lambda partition: late[partition])
        reasons.append(
            f"Figures are late: the oldest record of {_named([worst])} has waited "
            f"{late[worst]:.0f} s, and {stall_seconds:.0f} s is the limit; late in all: "
            f"{_named(late)}. If pravah_lag_records does not fall, start another worker."
        )
    if state.waits_for is not None:
        reasons.append(
            f"The worker waits: {state.waits_for} is running. It starts by itself when that has "
            "ended, or was interrupted."
        )
    elif not state.assigned:
        reasons.append(
            "Kafka has assigned no partitions to the worker yet. If this lasts longer than a "
            "minute, check that Kafka runs (`pravah status`)."
        )
    if unknown:
        reasons.append(
            f"Kafka has not reported the end of the log for {_named(unknown)} yet. If this lasts, "
            "check that Kafka runs (`pravah status`)."
        )
    return Health(
        alive=state.failure is None and not stalled, ready=not reasons, reasons=tuple(reasons)
    )


def _seconds_without_progress(state: WorkerState) -> float:
    """Return how long records have waited without any progress; 0 if none wait.

    A worker that was idle, or that takes over an old backlog, gets its full time.
    """
    waiting = [one.pending_since for one in state.partitions if one.pending_since is not None]
    return (
        max(0.0, state.now - max(state.last_progress, state.started, min(waiting)))
        if waiting
        else 0.0
    )


def _named(partitions: Sequence[int] | dict[int, float]) -> str:
    numbers = [str(partition) for partition in sorted(partitions)]
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
