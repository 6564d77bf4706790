"""What must not change under the figures: facts about this deployment, by name."""

from uuid import uuid4

from clickhouse_driver import Client

from pravah.errors import PravahError

EVENTS_PARTITIONS = "events_partitions"
EVENTS_TOPIC = "events_topic"
REGISTRY = "registry"
# Has another value after each rebuild: followers of changed figures must start over.
REBUILT = "rebuilt"


def get_fact(client: Client, name: str) -> str | None:
    """A fact, or None if it was never set, or forgotten."""
    rows = client.execute(
        "SELECT value FROM deployment FINAL WHERE name = %(name)s AND value != ''", {"name": name}
    )
    return str(rows[0][0]) if rows else None


def set_fact(client: Client, name: str, value: str, *, condition: str = "true") -> None:
    """Set a fact. The last one counts, also if the server's clock was set back in between.

    Args:
        client: the writer's.
        name: of the fact.
        value: empty: as if it had never been set.
        condition: SQL, such as that of a lease.
    """
    client.execute(
        f"""
        INSERT INTO deployment (name, value, at)
        SELECT %(name)s, %(value)s, greatest(
            now64(6),
            (SELECT max(at) FROM deployment WHERE name = %(name)s) + toIntervalMicrosecond(1)
        )
        WHERE {condition}
        """,
        {"name": name, "value": value},
    )


def mark_rebuilt(client: Client) -> None:
    """Invalidate the cursors of those who follow changed figures, so that they start over."""
    set_fact(client, REBUILT, uuid4().hex)


class LogChangedError(PravahError):
    """The topic is not the one that the figures were counted from.

    Units would be in other partitions than their ledger, or offsets would mean other records.
    """


def check_log(client: Client, *, topic: str, partitions: int) -> None:
    """Remember the topic of events at the first call, and refuse any other from then on.

    Args:
        client: the writer's.
        topic: the identity that Kafka gave `activity.events` when it was created.
        partitions: their number.

    Raises:
        LogChangedError: the identity or the number of partitions has changed.
    """
    remedy = "rebuild the figures from the log: `pravah rebuild log`"
    found = {EVENTS_PARTITIONS: str(partitions), EVENTS_TOPIC: topic}
    known = {name: get_fact(client, name) for name in found}
    if known[EVENTS_PARTITIONS] not in {None, found[EVENTS_PARTITIONS]}:
        msg = (
            f"activity.events has {partitions} partitions, but the figures were counted from "
            f"{known[EVENTS_PARTITIONS]}. More partitions move units to other partitions, which "
            f"would count them twice: {remedy}"
        )
        raise LogChangedError(msg)
    if known[EVENTS_TOPIC] not in {None, topic}:
        msg = (
            f"activity.events was made anew (its identity is {topic}; the figures were counted "
            f"from {known[EVENTS_TOPIC]}), so its offsets name other records. "
            f"Bring the old topic back, or {remedy}"
        )
        raise LogChangedError(msg)
    for name, value in found.items():
        if known[name] is None:
            set_fact(client, name, value)
