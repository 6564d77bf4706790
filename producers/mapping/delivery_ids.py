"""Event ids that do not depend on when or how often something is sent."""

from uuid import UUID, uuid5

# Namespace of every `event_id` that Pravah derives. It must never change: a repeated import would
# no longer be recognised as one.
NAMESPACE = UUID("6f1c2f0a-9d0e-5d0c-8a54-0f4b7a0f6a11")


def derive_event_id(entity: str, version: int) -> UUID:
    """Return the `event_id` of one version of an entity.

    It is a UUIDv5 of both, so a second delivery of the same version has the same id.
    """
    return uuid5(NAMESPACE, f"{version}:{entity}")
