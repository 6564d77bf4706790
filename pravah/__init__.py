"""What programs outside Pravah import: event types, `EventProducer`, `Client`, `Settings`.

    from pravah import EventProducer, Settings

    with EventProducer(Settings().kafka) as producer:
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", "kind": "social_post", …})

It may import none of Pravah's other packages, so that it installs by itself and shadows nothing.
Start reading at `events` (the event format) and `producer` (how events reach Kafka).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pravah.client import Client
    from pravah.events import Event, EventError, parse_event
    from pravah.producer import DeliveryReport, EventProducer, ProducerError
    from pravah.settings import ClickHouseSettings, KafkaSettings, Settings

__all__ = [
    "ClickHouseSettings",
    "Client",
    "DeliveryReport",
    "Event",
    "EventError",
    "EventProducer",
    "KafkaSettings",
    "ProducerError",
    "Settings",
    "parse_event",
]

_MODULES = {
    "ClickHouseSettings": "settings",
    "Client": "client",
    "DeliveryReport": "producer",
    "Event": "events",
    "EventError": "events",
    "EventProducer": "producer",
    "KafkaSettings": "settings",
    "ProducerError": "producer",
    "Settings": "settings",
    "parse_event": "events",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import pravah` loads no Kafka client."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"pravah.{_MODULES[name]}"), name)
