"""`RollupEngine`: the entry point of the pure core, which a worker and the tests call.

It wires registry, metric dictionary and options to the validator, and holds the state of the
partitions that are assigned to one worker.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import NamedTuple

from rollup.assigned_partition import AssignedPartition, FoldOptions, LogError
from rollup.batch_validation import BatchValidator, Verdicts
from rollup.chunks import Record
from rollup.record_batch import RecordBatch
from rollup.seen_filter import SeenFilter
from rollup.validation import Validator
from rollup.version_columns import Encodings
from rollup.warm_up import warm_up
from schemas.metrics import MetricDictionary
from schemas.registry import Registry


class ValidatedBatch(NamedTuple):
    """Consecutive records of a partition with their verdicts."""

    records: RecordBatch
    verdicts: Verdicts
    epoch: int
    """The assignment under which they were validated; see `AssignedPartition`."""


class RollupEngine:
    """Validates and folds the partitions of one worker, under one registry and one dictionary."""

    def __init__(
        self,
        registry: Registry,
        dictionary: MetricDictionary,
        *,
        partition_of: Callable[[str], int],
        max_future_hours: float,
        chunk_size: int,
        filter_bits: int = 32,
        recent_entities: int = 100_000,
        worker: str = "worker",
    ) -> None:
        """Prepare the validator.

        Args:
            registry: the units.
            dictionary: the metrics.
            partition_of: the partition of `activity.events` that a routing key belongs to.
            max_future_hours: how long after its arrival an event may have occurred.
            chunk_size: maximum number of offsets in a chunk.
            filter_bits: see `SeenFilter`.
            recent_entities: see `EntityCache`; for each partition.
            worker: name of this worker in the table `chunks`.
        """
        self._validator = BatchValidator(
            Validator(
                registry,
                dictionary,
                partition_of=partition_of,
                max_future_hours=max_future_hours,
            )
        )
        self.partitions: dict[int, AssignedPartition] = {}
        self.registry = registry.fingerprint()
        self._options = FoldOptions(
            self.encodings, self.registry, chunk_size, recent_entities, worker
        )
        self._filter_bits = filter_bits
        self._seen_filters: dict[int, SeenFilter] = {}
        self._epochs = count()

    @property
    def encodings(self) -> Encodings:
        """What the numbers in columns stand for."""
        return self._validator.encodings

    @property
    def complete_records(self) -> int:
        """Number of records in complete chunks, which wait to be closed."""
        return sum(
            attempt.chunk.counts.records
            for partition in self.partitions.values()
            for attempt in partition.complete_chunks
        )

    def warm_up(self) -> None:
        """Load or compile all kernels (`rollup.warm_up`)."""
        warm_up(self._validator)

    def assign(self, number: int) -> AssignedPartition:
        """Return the state of a partition; a new one at the first call after an assignment."""
        if number not in self.partitions:
            self.partitions[number] = self._new(number, next(self._epochs))
        return self.partitions[number]

    def validate(self, number: int, records: Sequence[Record], epoch: int) -> ValidatedBatch:
        """Validate consecutive records of a partition; they are not counted yet.

        Args:
            number: the partition.
            records: in the order of the log.
            epoch: of the assignment under which they were read.
        """
        batch = RecordBatch.of(records)
        return ValidatedBatch(batch, self._validator.validate(number, batch), epoch)

    def resume(self, number: int, batch: ValidatedBatch) -> AssignedPartition | None:
        """Return the state with which a batch is folded.

        If the consumer went back, that is a new state: the records are folded again from there.

        Returns:
            None if the partition was revoked since the batch was validated.

        Raises:
            LogError: records between the last batch and this one are missing.
        """
        partition = self.partitions.get(number)
        if partition is None or partition.epoch != batch.epoch:
            return None
        offset, expected = batch.records[0].offset, partition.next_offset
        if expected is None or offset == expected:
            return partition
        if offset > expected:
            msg = (
                f"partition {number}: expected offset {expected}, got {offset}: "
                "records are missing from the log"
            )
            raise LogError(msg)
        partition.is_revoked = True
        self.partitions[number] = self._new(number, partition.epoch)
        return self.partitions[number]

    def revoke(self, numbers: Iterable[int]) -> None:
        """Drop the state of partitions; their next owner folds open chunks from their start."""
        for number in numbers:
            if partition := self.partitions.pop(number, None):
                partition.is_revoked = True

    def _new(self, number: int, epoch: int) -> AssignedPartition:
        seen_filter = self._seen_filters.setdefault(number, SeenFilter(self._filter_bits))
        return AssignedPartition(number, epoch, self._options, seen_filter)
