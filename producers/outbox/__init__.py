"""Transactional outbox: a SQLite file between a producer and Kafka. Accepted events survive both.

    with OutboxProducer(Path("outbox.sqlite"), Settings().kafka) as producer:  # Kafka may be down
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", …})  # on disk when it returns

`table` holds the SQL, `file` the SQLite file, `relay` hands records to Kafka, `producer` is the
client for programs; start reading there. Imports `pravah` only, so a field device needs no more.

`put` and `send` return when the records are on disk (WAL, `synchronous=FULL`). A relay thread sends
them to Kafka in the order of arrival and deletes what Kafka confirmed. It holds a lock on the file,
so only one relay runs, however many processes write. A record waits until the previous record of
its entity is confirmed, so the order within an entity holds also when a delivery fails. A process
that dies between confirmation and deletion sends the same bytes again under the same event id, and
the roll-up counts them once.
"""

from producers.outbox.file import Outbox, open_file, transaction
from producers.outbox.producer import OutboxProducer
from producers.outbox.relay import OutboxRelay
from producers.outbox.table import (
    Bounds,
    OutboxBusyError,
    OutboxDepth,
    OutboxFullError,
    OutboxRecord,
    outbox_record,
)

__all__ = [
    "Bounds",
    "Outbox",
    "OutboxBusyError",
    "OutboxDepth",
    "OutboxFullError",
    "OutboxProducer",
    "OutboxRecord",
    "OutboxRelay",
    "open_file",
    "outbox_record",
    "transaction",
]
