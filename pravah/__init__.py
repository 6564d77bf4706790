"""The package for programs outside Pravah: event types, `EventProducer`, `Client`, `Settings`.

    from pravah import EventProducer, Settings

    with EventProducer(Settings().kafka) as producer:
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", "kind": "social_post", …})

It imports none of Pravah's other packages, and names are imported at their first use, so that
`import pravah` loads no Kafka client. Start reading at `events` (the event format), `producer`
(how events reach Kafka) and `client` (how figures are read).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pravah.client import ApiError, ChangesPage, Client
    from pravah.client_rows import MissingPolarsError
    from pravah.errors import PravahError
    from pravah.events import (
        CommitteeFormed,
        Event,
        EventError,
        InchargeAppointed,
        Membership,
        MessagingGroup,
        Retraction,
        SocialPost,
        Source,
        Tally,
        TrainingHeld,
        parse_event,
    )
    from pravah.producer import BufferFullError, DeliveryReport, EventProducer, ProducerError
    from pravah.settings import ClickHouseSettings, KafkaSettings, Settings

__all__ = [
    "ApiError",
    "BufferFullError",
    "ChangesPage",
    "ClickHouseSettings",
    "Client",
    "CommitteeFormed",
    "DeliveryReport",
    "Event",
    "EventError",
    "EventProducer",
    "InchargeAppointed",
    "KafkaSettings",
    "Membership",
    "MessagingGroup",
    "MissingPolarsError",
    "PravahError",
    "ProducerError",
    "Retraction",
    "Settings",
    "SocialPost",
    "Source",
    "Tally",
    "TrainingHeld",
    "parse_event",
]

_NAMES = {
    "client": ["ApiError", "ChangesPage", "Client"],
    "client_rows": ["MissingPolarsError"],
    "errors": ["PravahError"],
    "events": [
        "CommitteeFormed",
        "Event",
        "EventError",
        "InchargeAppointed",
        "Membership",
        "MessagingGroup",
        "Retraction",
        "SocialPost",
        "Source",
        "Tally",
        "TrainingHeld",
        "parse_event",
    ],
    "producer": ["BufferFullError", "DeliveryReport", "EventProducer", "ProducerError"],
    "settings": ["ClickHouseSettings", "KafkaSettings", "Settings"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"pravah.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
