"""The domain models: registry, contacts, metric dictionary, plan, and what others are granted.

It imports `pravah` of ours, and reads no file and no socket. The event format is in
`pravah.events`, because outside programs import it. Start with `registry` (units and their dated
parents) and `metrics`; `docs/events.md` and `docs/hierarchy.md` have the rules.
"""
