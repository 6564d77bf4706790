"""The event producer with an outbox, for programs on devices that are often offline."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pravah.events import Event
from pravah.producer import validate_event
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS
from producers.outbox.file import Outbox
from producers.outbox.relay import OutboxRelay
from producers.outbox.table import Bounds, OutboxDepth, OutboxRecord, outbox_record

_FLUSH_POLL_INTERVAL_S = 0.02


class OutboxProducer:
    """`EventProducer` with an outbox: `send` works without Kafka. Thread-safe.

    Sent events survive the process, so a field device needs nothing else.
    """

    def __init__(
        self, path: Path, kafka: KafkaSettings, *, topic: str = EVENTS, bounds: Bounds | None = None
    ) -> None:
        """Open or create the file, and start to relay its pending records.

        Raises:
            OSError, sqlite3.DatabaseError, OutboxFullError: as `Outbox`.
        """
        self._outbox = Outbox(path, bounds)
        self._relay = OutboxRelay(path, kafka, topic=topic)
        self._relay.start()

    def send(self, event: Event | Mapping[str, Any] | bytes) -> Event:
        """Validate an event and store it; it is on disk when this returns.

        An event that was sent before is not sent again.

        Raises:
            pravah.events.EventError: the event is invalid.
            OutboxFullError, OutboxBusyError: it was not stored.
        """
        return self.send_all([event])[0]

    def send_all(self, events: Iterable[Event | Mapping[str, Any] | bytes]) -> list[Event]:
        """Send several events, all or none.

        One write to disk costs the same for one event and for hundreds.

        Raises:
            pravah.events.EventError, OutboxFullError, OutboxBusyError: none was stored.
        """
        checked = [validate_event(event) for event in events]
        self.put([outbox_record(event, value) for event, value in checked])
        return [event for event, _ in checked]

    def put(self, records: Sequence[OutboxRecord]) -> list[bool]:
        """Send events that are validated already.

        Returns:
            Per record whether it is new.

        Raises:
            OutboxFullError, OutboxBusyError: none was stored.
        """
        new = self._outbox.put(records)
        self._relay.wake()
        return new

    def depth(self) -> OutboxDepth:
        """Pending records and the state of delivery."""
        return self._outbox.depth()

    def flush(
        self,
        timeout: float | None = None,
        on_progress: Callable[[OutboxDepth], None] = lambda _: None,
    ) -> bool:
        """Wait until Kafka confirmed every record.

        Args:
            timeout: seconds; None waits without limit.
            on_progress: called with the current depth while records are pending.

        Returns:
            Whether nothing is pending.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (depth := self.depth()).rows:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            on_progress(depth)
            time.sleep(_FLUSH_POLL_INTERVAL_S)
        return True

    def close(self) -> None:
        """Stop; unconfirmed records stay in the file. A second call does nothing."""
        self._relay.stop()
        self._outbox.close()

    def __enter__(self) -> Self:
        """Return this producer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
