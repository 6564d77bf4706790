"""Close the open chunks, so that figures can be compared with the ledger up to this moment."""

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
    """Result of `close_chunks`."""

    cut: Cut
    """Behind the closed chunks."""
    end: int
    """Number of records in the log when closing began."""

    @property
    def is_complete(self) -> bool:
        """Whether all `end` records are below the cut."""
        return self.cut.records >= self.end


def close_chunks(
    settings: Settings, clickhouse: Client, *, wait: float, report: Callable[[str], None]
) -> Closing:
    """Send a tick to each partition, and wait until workers have closed the chunks before it.

    Args:
        settings: of the deployment.
        clickhouse: the writer's.
        wait: seconds without a closed chunk after which waiting ends.
        report: called with one line if there is anything to wait for.
    """
    with Lag(settings.kafka, clickhouse) as lag:
        ends = lag.ends()
        cut = closed_cut(clickhouse)
        if all(cut.offsets.get(partition, 0) >= end for partition, end in ends.items()):
            return Closing(cut, sum(ends.values()))
        with EventProducer(settings.kafka) as producer:
            producer.tick()
        ends = lag.ends()
    report(f"closing open chunks: {sum(ends.values()) - cut.records:,} records to go …")
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
