"""What must not change under the figures: facts about this deployment, by name."""

from uuid import uuid4

from clickhouse_driver import Client

from pravah.errors import PravahError

EVENTS_PARTITIONS = "events_partitions"
EVENTS_TOPIC = "events_topic"
REGISTRY = "registry"
REBUILT = "rebuilt"
"""Another value after the figures were rebuilt: who follows their changes must begin anew."""


def get_fact(client: Client, name: str) -> str | None:
    """A fact, or None if it was never set, or forgotten."""
    rows = client.execute(
        "SELECT value FROM deployment FINAL WHERE name = %(name)s AND value != ''", {"name": name}
    )
    return str(rows[0][0]) if rows else None


def set_fact(client: Client, name: str, value: str) -> None:
    """Set a fact; the one that was set last counts, also if the server's clock was set back in between."""
    client.execute(
        "INSERT INTO deployment (name, value, at) "
        "SELECT %(name)s, %(value)s, greatest(now64(6), (SELECT max(at) FROM deployment WHERE name = %(name)s) + toIntervalMicrosecond(1))",
        {"name": name, "value": value},
    )


def tell_rebuilt(client: Client) -> None:
    """Whoever follows the changes of figures must take them all anew."""
    set_fact(client, REBUILT, uuid4().hex)


def forget_fact(client: Client, name: str) -> None:
    """As if it had never been set."""
    set_fact(client, name, "")


class LogChangedError(PravahError):
    """The topic is not the one that the figures were counted from: units would lie in other partitions than their ledger, or offsets mean other records."""


def check_log(client: Client, *, topic: str, partitions: int) -> None:
    """Remember the identity of `activity.events` and the number of its partitions the first time, and refuse any other from then on.

    Args:
        client: the writer's.
        topic: the identity that Kafka gave the topic when it was made.
        partitions: how many it has.

    Raises:
        LogChangedError: one of them is another.
    """
    remedy = "rebuild the figures from the log: `pravah replay log`"
    found = {EVENTS_PARTITIONS: str(partitions), EVENTS_TOPIC: topic}
    known = {name: get_fact(client, name) for name in found}
    if known[EVENTS_PARTITIONS] not in {None, found[EVENTS_PARTITIONS]}:
        msg = (
            f"activity.events has {partitions} partitions, but the figures were counted from {known[EVENTS_PARTITIONS]}. More partitions move units to other partitions, "
            f"which would count them twice: {remedy}"
        )
        raise LogChangedError(msg)
    if known[EVENTS_TOPIC] not in {None, topic}:
        msg = (
            f"activity.events was made anew (its identity is {topic}; the figures were counted from {known[EVENTS_TOPIC]}), so its offsets name other records. "
            f"Bring the old topic back, or {remedy}"
        )
        raise LogChangedError(msg)
    for name, value in found.items():
        if known[name] is None:
            set_fact(client, name, value)
