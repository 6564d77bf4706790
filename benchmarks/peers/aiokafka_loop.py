"""A ceiling: a loop over aiokafka's `getmany` that parses JSON with orjson, and nothing else.

It writes no figures. `peer.py` describes how it is run.
"""

from contextlib import suppress

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.peers.peer import Progress, options
from pravah.settings import Settings
from pravah.topics import EVENTS

_MAX_RECORDS = 20_000


async def loop(settings: Settings, run: str, progress: Progress) -> None:
    """Read to the end of the run."""
    consumer = AIOKafkaConsumer(
        EVENTS,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=run,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1024 * 1024,
        fetch_max_bytes=32 * 1024 * 1024,
    )
    await consumer.start()
    try:
        while not progress.is_over:
            fetched = await consumer.getmany(timeout_ms=500, max_records=_MAX_RECORDS)
            if fetched:
                progress.begin()
            for partition, records in fetched.items():
                for record in records:
                    with suppress(orjson.JSONDecodeError):
                        orjson.loads(record.value or b"")
                progress.read(partition.partition, records[-1].offset + 1, len(records))
        progress.print_result()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    chosen, configured = options(__doc__, None, "aiokafka_loop"), Settings()
    uvloop.run(loop(configured, chosen.run, Progress.of(configured.kafka, chosen.seconds)))
