"""How far the figures are behind the log: the broker's end offsets against the table `chunks`."""

from dataclasses import dataclass
from typing import Self

from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition

from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS


@dataclass(frozen=True)
class Position:
    """Ends of log and figures, summed over partitions."""

    end: int
    """Records that the log has or had."""
    durable: int
    """Of these, the ones in the figures."""

    @property
    def behind(self) -> int:
        """Records that are not in the figures yet."""
        return self.end - self.durable


class Lag:
    """Reads the end of the log and the table `chunks`."""

    def __init__(
        self, kafka: KafkaSettings, clickhouse: Client, *, connect_seconds: float = 30.0
    ) -> None:
        """Connect to Kafka; `clickhouse` must be allowed to read `chunks`.

        Raises:
            kafka.errors.KafkaError: no broker answers within `connect_seconds`.
        """
        self._consumer = KafkaConsumer(
            **client_options(kafka),
            group_id=None,
            enable_auto_commit=False,
            bootstrap_timeout_ms=int(connect_seconds * 1000),
        )
        self._partitions = [
            TopicPartition(EVENTS, number)
            for number in sorted(self._consumer.partitions_for_topic(EVENTS) or ())
        ]
        self._clickhouse = clickhouse

    def position(self) -> Position:
        """Read both ends."""
        durable = dict(
            self._clickhouse.execute(
                "SELECT partition, max(next_offset) FROM chunks GROUP BY partition"
            )
        )
        # The log is read last: a record that was forwarded to another partition is there before
        # its place of origin is durable.
        ends = self.ends()
        return Position(
            sum(ends.values()),
            sum(min(durable.get(partition, 0), end) for partition, end in ends.items()),
        )

    def begins(self) -> dict[int, int]:
        """Partition → offset of the first record that the log still has."""
        return {
            tp.partition: int(begin)
            for tp, begin in self._consumer.beginning_offsets(self._partitions).items()
        }

    def ends(self) -> dict[int, int]:
        """Partition → the offset behind its last record."""
        return {
            tp.partition: int(end)
            for tp, end in self._consumer.end_offsets(self._partitions).items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect from Kafka."""
        self._consumer.close()
