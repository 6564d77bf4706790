"""The words of the field: events, units and their dated hierarchy, metrics, plan. Pure: nothing here reads a file or a socket.

Contract pages: `docs/events.md` for what a field tool sends, `docs/hierarchy.md` for units and days.
"""
