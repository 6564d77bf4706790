"""Kafka's topics. Keys and values as `docs/asyncapi.json` describes them."""

EVENTS = "activity.events"
"""Events, keyed by `pravah.units.routing_key`; broker append time."""
REJECTED = "activity.rejected"
"""What counts nowhere, byte for byte as it came, with the headers `reason`, `detail`, `topic`, `partition`, `offset`."""
ALERTS = "activity.alerts"
"""What the control room must act on, keyed by unit code."""
UNITS = "units"
"""Registry entries, keyed by unit code; compacted."""

TICK_KEY = b"pravah.tick"
"""In `activity.events`, the key of a record without a value. It says nothing, but ends the chunk it is in, so that this chunk's figures can be compared and stay as they are."""
