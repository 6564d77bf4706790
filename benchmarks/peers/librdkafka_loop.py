"""A ceiling: a loop over librdkafka's `consume` that parses JSON with orjson, and nothing else.

It writes no figures. `peer.py` describes how it is run.
"""

from contextlib import suppress

import orjson
from confluent_kafka import Consumer

from benchmarks.peers.peer import Progress, options
from pravah.settings import Settings
from pravah.topics import EVENTS

_MAX_RECORDS = 10_000


def loop(settings: Settings, run: str, progress: Progress) -> None:
    """Read to the end of the run."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": run,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 262_144,
            # the default pauses fetching for a second whenever the queue is full
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.subscribe([EVENTS])
    try:
        while not progress.is_over:
            following: dict[int, int] = {}
            messages = consumer.consume(_MAX_RECORDS, 0.05)
            if messages:
                progress.begin()
            for message in messages:
                with suppress(orjson.JSONDecodeError):
                    orjson.loads(message.value() or b"")
                following[message.partition()] = message.offset() + 1
            for partition, offset in following.items():
                progress.read(partition, offset, 0)
            progress.events += len(messages)
        progress.print_result()
    finally:
        consumer.close()


if __name__ == "__main__":
    chosen, configured = options(__doc__, None, "librdkafka_loop"), Settings()
    loop(configured, chosen.run, Progress.of(configured.kafka, chosen.seconds))
