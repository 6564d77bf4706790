"""Names of deliveries that do not depend on when or how often something is sent."""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f1c2f0a-9d0e-5d0c-8a54-0f4b7a0f6a11")
"""Of every `event_id` that Pravah itself gives. Never to change: a repeated import would no longer be recognised."""


def event_id(entity: str, version: int) -> UUID:
    """The `event_id` of one version of an entity: UUIDv5, so sending it again gives the same one."""
    return uuid5(NAMESPACE, f"{version}:{entity}")
