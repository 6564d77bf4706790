"""The unit registry from the compacted topic `units`: read at the start, then watched for changes.

A registry is published entry by entry, so a reader may see half of a change. A change is reported
when the topic was quiet for a moment and its content passes all checks.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from kafka import KafkaConsumer
from pydantic import ValidationError

from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from pravah.topics import UNITS
from schemas.entries import EntryReader
from schemas.registry import Entry, Registry, RegistryError
from schemas.registry_readers import registry_from_entries

log = logging.getLogger(__name__)

QUIET_SECONDS = 2.0
_FETCH_BYTES = 8 * 1024 * 1024
_MAX_POLL_RECORDS = 10_000


class RegistryFeed:
    """Reads the topic `units`. Not thread-safe."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect. No offsets are committed: every reader reads the whole topic."""
        self._consumer = KafkaConsumer(
            UNITS,
            **client_options(kafka),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            group_id=None,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )

    def load(self) -> Registry:
        """Read the topic from its beginning to its current end.

        Raises:
            LookupError: the topic is empty.
            RegistryError: its content does not pass the checks.
        """
        entries: dict[str, Entry] = {}
        reader = EntryReader()
        for record in self._records():
            code = (record.key or b"").decode(errors="replace")
            if record.value is None:
                entries.pop(code, None)
                continue
            try:
                entries[code] = reader.read(record.value)
            except ValidationError as error:
                log.warning(
                    "%s at offset %d (%s) is not a registry entry and is ignored: %s",
                    UNITS,
                    record.offset,
                    code,
                    error.errors()[0]["msg"],
                )
        if not entries:
            msg = (
                f"the topic {UNITS!r} holds no units: `pravah up` loads the registry that comes "
                "with Pravah, `pravah units load FOLDER` your own"
            )
            raise LookupError(msg)
        return registry_from_entries(entries.values())

    def follow(self, on_change: Callable[[Registry], None], stop: threading.Event) -> None:
        """Watch the topic until `stop` is set. After a change the whole topic is read again.

        Args:
            on_change: called once with each consistent registry after a change.
            stop: ends the watch.
        """
        last_change: float | None = None
        while not stop.is_set():
            if self._consumer.poll(timeout_ms=500, max_records=_MAX_POLL_RECORDS):
                last_change = time.monotonic()
            elif last_change is not None and time.monotonic() - last_change > QUIET_SECONDS:
                last_change = None
                try:
                    on_change(self.load())
                except (LookupError, RegistryError) as error:
                    log.warning(
                        "the topic %s holds no valid registry at present, keeping the old one: %s",
                        UNITS,
                        error,
                    )

    def close(self) -> None:
        """Close the connection to Kafka."""
        self._consumer.close()

    def _records(self) -> Iterator[Any]:
        while not self._consumer.assignment():
            self._consumer.poll(timeout_ms=100)
        partitions = list(self._consumer.assignment())
        self._consumer.seek_to_beginning()
        ends = self._consumer.end_offsets(partitions)
        while any(self._consumer.position(tp) < ends[tp] for tp in partitions):
            for records in self._consumer.poll(
                timeout_ms=500, max_records=_MAX_POLL_RECORDS
            ).values():
                yield from records
