"""What must not change under the figures: facts about this deployment, by name."""

from clickhouse_driver import Client

EVENTS_PARTITIONS = "events_partitions"
REGISTRY = "registry"


def get_fact(client: Client, name: str) -> str | None:
    """A fact, or None if it was never set."""
    rows = client.execute("SELECT value FROM deployment FINAL WHERE name = %(name)s", {"name": name})
    return str(rows[0][0]) if rows else None


def set_fact(client: Client, name: str, value: str) -> None:
    """Set a fact; the newest counts."""
    client.execute("INSERT INTO deployment (name, value) VALUES", [(name, value)])


class PartitionsChangedError(RuntimeError):
    """The topic has another number of partitions than the figures were counted from, so units would lie in other partitions than their ledger."""


def check_partitions(client: Client, partitions: int) -> None:
    """Remember the number of partitions of `activity.events` the first time, and refuse any other from then on.

    Raises:
        PartitionsChangedError: it is another one.
    """
    known = get_fact(client, EVENTS_PARTITIONS)
    if known is None:
        set_fact(client, EVENTS_PARTITIONS, str(partitions))
    elif int(known) != partitions:
        msg = (
            f"activity.events has {partitions} partitions, but the figures were counted from {known}. More partitions move units to other partitions, "
            "which would count them twice: rebuild the figures from the log, as docs/operations.md says"
        )
        raise PartitionsChangedError(msg)
