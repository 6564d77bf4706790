"""Where figures can be compared with the ledger: closes what is open, so that the comparison reaches to this moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from clickhouse_driver import Client

from pravah.producer import EventProducer
from pravah.settings import Settings
from sinks.lag import Lag
from sinks.recount import Cut, closed_cut


@dataclass(frozen=True)
class Closing:
    """What came of closing the open chunks."""

    cut: Cut
    """Of closed chunks."""
    end: int
    """Records that the log had when the chunks were asked to close."""

    @property
    def complete(self) -> bool:
        """Whether every record that the log had then lies below the cut."""
        return self.cut.records >= self.end


def close_chunks(
    settings: Settings, clickhouse: Client, *, wait: float, say: Callable[[str], None]
) -> Closing:
    """Send a tick into each partition with an open chunk, and wait until workers have closed them.

    Args:
        settings: where Kafka is.
        clickhouse: the writer's.
        wait: seconds without any chunk closed after which it goes on with what is closed.
        say: is told why it takes time.
    """
    with Lag(settings.kafka, clickhouse) as lag:
        ends = lag.ends()
        cut = closed_cut(clickhouse)
        if all(cut.offsets.get(partition, 0) >= end for partition, end in ends.items()):
            return Closing(cut, sum(ends.values()))
        with EventProducer(settings.kafka) as producer:
            producer.tick()
        ends = lag.ends()
    say(f"closing open chunks: {sum(ends.values()) - cut.records:,} records to go …")
    since = time.monotonic()
    while (
        any(cut.offsets.get(partition, 0) < end for partition, end in ends.items())
        and time.monotonic() - since < wait
    ):
        time.sleep(0.1)
        now = closed_cut(clickhouse)
        if now != cut:
            cut, since = now, time.monotonic()
    return Closing(cut, sum(ends.values()))
