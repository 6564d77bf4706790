"""Names of the Kafka topics. `docs/asyncapi.json` describes their keys and values."""

# Events, keyed by `pravah.units.routing_key`, with broker append time.
EVENTS = "activity.events"
# The dead-letter queue: rejected records, byte for byte, with the headers `reason`, `detail`,
# `topic`, `partition` and `offset`.
REJECTED = "activity.rejected"
# Alerts for the control room, keyed by unit code.
ALERTS = "activity.alerts"
# Registry entries, keyed by unit code; compacted.
UNITS = "units"

# Key of a tick: a record in `activity.events` without a value. It is no event. It ends the chunk it
# is in, so that the figures of a quiet partition become final and can be compared.
TICK_KEY = b"pravah.tick"
