"""Rules about our topics and their settings in Kafka; `doctor.rules.kafka` lists them."""

from collections.abc import Iterator

from doctor.facts import Facts
from doctor.facts.clickhouse import TableFacts
from doctor.facts.kafka import TOPICS, Topic
from doctor.rules.base import (
    DAY_MS,
    HOUR_MS,
    UNLIMITED,
    Finding,
    alter_topic_remedy,
    format_bytes,
    format_retention,
)
from pravah.events import MAX_EVENT_BYTES
from pravah.topics import EVENTS, REJECTED, UNITS
from sinks.deployment import EVENTS_PARTITIONS, EVENTS_TOPIC
from streams.app import MAX_REQUEST_BYTES

_MIN_RETENTION_MS, _RECOMMENDED_RETENTION_MS = 2 * HOUR_MS, 7 * DAY_MS
# Bytes of a record's key, headers and batch beside its value.
_FRAMING_BYTES = 65_536


def existence(facts: Facts) -> Iterator[Finding]:
    """Do all topics exist?"""
    missing = [name for name in TOPICS if name not in facts.kafka.topics]
    if missing:
        yield Finding(
            "failure",
            f"missing: {', '.join(missing)}",
            "`pravah up` makes them; records that were in them are gone, unless the topic can "
            "be brought back",
        )
    else:
        yield Finding("ok", f"all there: {', '.join(TOPICS)}")


def append_time(facts: Facts) -> Iterator[Finding]:
    """Do events carry the broker's append time?"""
    found = facts.config(EVENTS, "message.timestamp.type")
    if found == "LogAppendTime":
        yield Finding("ok", "records carry the broker's append time")
    else:
        yield Finding(
            "failure",
            f"message.timestamp.type={found}: chunks are cut, and future events are recognised, "
            "by the "
            "append time, not by what a producer's clock says",
            alter_topic_remedy(facts, EVENTS, "message.timestamp.type=LogAppendTime"),
        )


def events_cleanup_policy(facts: Facts) -> Iterator[Finding]:
    """Are events deleted by age only, never compacted?"""
    found = facts.config(EVENTS, "cleanup.policy")
    if found == "delete":
        yield Finding("ok", "cleanup.policy=delete")
    else:
        yield Finding(
            "failure",
            f"cleanup.policy={found}: compaction takes out events that share a key, which is "
            "nearly all",
            alter_topic_remedy(facts, EVENTS, "cleanup.policy=delete"),
        )


def retention(facts: Facts) -> Iterator[Finding]:
    """Are events kept longer than the longest outage?"""
    retention = int(facts.config(EVENTS, "retention.ms"))
    found = f"records are kept {format_retention(retention)}"
    remedy = alter_topic_remedy(
        facts, EVENTS, f"retention.ms={facts.settings.kafka.retention_days * DAY_MS}"
    )
    if retention == UNLIMITED or retention >= _RECOMMENDED_RETENTION_MS:
        yield Finding("ok", found)
    elif retention >= _MIN_RETENTION_MS:
        yield Finding(
            "warning",
            f"{found}: if no worker runs for longer, events are lost",
            f"keep them a week or longer. {remedy}",
        )
    else:
        yield Finding(
            "failure",
            f"{found}: an open chunk, which spans up to an hour, may lose its beginning, and "
            "then no worker goes on",
            remedy,
        )


def retention_bytes(facts: Facts) -> Iterator[Finding]:
    """Is the size of the log unlimited?"""
    limit = int(facts.config(EVENTS, "retention.bytes"))
    if limit == UNLIMITED:
        yield Finding("ok", "the size of the log is not limited")
    else:
        yield Finding(
            "warning",
            f"a partition keeps at most {format_bytes(limit)}, however new what is beyond that may "
            "be: a busy day can lose events",
            f"{alter_topic_remedy(facts, EVENTS, f'retention.bytes={UNLIMITED}')}; watch the disk "
            "instead",
        )


def partition_count(facts: Facts) -> Iterator[Finding]:
    """Is the number of partitions as configured, and as the figures were counted from?"""
    found, wanted = facts.topic(EVENTS).partitions, facts.settings.kafka.partitions
    counted = (
        facts.tables_or_reason.deployment.get(EVENTS_PARTITIONS)
        if isinstance(facts.tables_or_reason, TableFacts)
        else None
    )
    if counted not in {None, str(found)}:
        yield Finding(
            "failure",
            f"{EVENTS} has {found} partitions, the figures were counted from {counted}: units "
            "would lie in other partitions than their ledger, so no worker starts",
            f"rebuild the figures with `pravah rebuild log` and PRAVAH_KAFKA__PARTITIONS={found}",
        )
    elif found != wanted:
        yield Finding(
            "failure",
            f"{EVENTS} has {found} partitions, PRAVAH_KAFKA__PARTITIONS says {wanted}",
            f"set PRAVAH_KAFKA__PARTITIONS={found}",
        )
    else:
        yield Finding(
            "ok", f"{found}, as set and as counted from" if counted else f"{found}, as set"
        )


def topic_identity(facts: Facts) -> Iterator[Finding]:
    """Is the topic the one that the figures were counted from?"""
    found, counted = facts.topic(EVENTS).identity, facts.tables.deployment.get(EVENTS_TOPIC)
    if counted is None:
        yield Finding(
            "warning",
            "it is not noted yet which topic the figures are counted from",
            "`pravah up` notes it",
        )
    elif counted != found:
        yield Finding(
            "failure",
            f"{EVENTS} was made anew (it is {found}, the figures were counted from {counted}): "
            "its offsets name other records",
            "bring the old topic back, or rebuild the figures with `pravah rebuild log`",
        )
    else:
        yield Finding("ok", f"{EVENTS} is the one that the figures were counted from")


def replication_factor(facts: Facts) -> Iterator[Finding]:
    """Are there enough replicas, and are they in sync?"""
    brokers = len(facts.kafka.brokers)
    is_well = True
    for name, topic in facts.kafka.topics.items():
        needed = int(facts.config(name, "min.insync.replicas"))
        for finding in _replication_of(facts, name, topic, needed, brokers):
            is_well = False
            yield finding
    if is_well:
        least = min((topic.replicas for topic in facts.kafka.topics.values()), default=0)
        yield Finding(
            "ok",
            "one broker, so one copy of everything"
            if brokers == 1
            else f"each topic has {least} copies or more, all in sync",
        )


def _replication_of(
    facts: Facts, name: str, topic: Topic, needed: int, brokers: int
) -> Iterator[Finding]:
    more = (
        "raise it with your Kafka's tools (kafka-reassign-partitions); "
        "PRAVAH_KAFKA__REPLICATION holds for topics that are made anew"
    )
    if topic.in_sync < max(needed, 1):
        yield Finding(
            "failure",
            f"{name}: a partition has {topic.in_sync} copies in sync, min.insync.replicas is "
            f"{needed}: it takes no records",
            "start the brokers that are down; a min.insync.replicas above the number of copies "
            f"({topic.replicas}) must be lowered",
        )
    elif topic.in_sync < topic.replicas:
        yield Finding(
            "warning",
            f"{name}: of {topic.replicas} copies of a partition {topic.in_sync} are in sync",
            "start the broker that is down, or look at why it lags",
        )
    if brokers > 1 and topic.replicas == 1:
        yield Finding(
            "warning",
            f"{name}: one copy on {brokers} brokers: with a broker its records are away, and "
            "may be lost",
            more,
        )
    elif topic.replicas > 1 and needed == 1:
        yield Finding(
            "warning",
            f"{name}: min.insync.replicas=1: what one broker alone confirmed is lost with it",
            alter_topic_remedy(facts, name, "min.insync.replicas=2"),
        )
    elif topic.replicas > 1 and needed == topic.replicas:
        yield Finding(
            "warning",
            f"{name}: min.insync.replicas={needed} of {topic.replicas} copies: with any broker "
            "down nothing can be sent",
            more,
        )


def leader_election(facts: Facts) -> Iterator[Finding]:
    """Can only in-sync replicas become leaders?"""
    if facts.config(EVENTS, "unclean.leader.election.enable") == "true":
        remedy = alter_topic_remedy(facts, EVENTS, "unclean.leader.election.enable=false")
        yield Finding(
            "warning",
            "a copy that lags may become the leader: records that were confirmed, and counted, "
            "vanish",
            remedy,
        )
    else:
        yield Finding("ok", "only a copy that is in sync becomes the leader")


def record_sizes(facts: Facts) -> Iterator[Finding]:
    """Do the topics accept records as large as workers and producers send?"""
    events, rejected = (int(facts.config(name, "max.message.bytes")) for name in (EVENTS, REJECTED))
    is_well = True
    if events < MAX_EVENT_BYTES + _FRAMING_BYTES:
        is_well = False
        remedy = alter_topic_remedy(facts, EVENTS, f"max.message.bytes={4 << 20}")
        yield Finding(
            "failure",
            f"{EVENTS} takes records of at most {format_bytes(events)}, an event may have "
            f"{format_bytes(MAX_EVENT_BYTES)} and its key",
            remedy,
        )
    if rejected < MAX_REQUEST_BYTES:
        is_well = False
        remedy = alter_topic_remedy(facts, REJECTED, f"max.message.bytes={MAX_REQUEST_BYTES}")
        yield Finding(
            "failure",
            f"{REJECTED} takes records of at most {format_bytes(rejected)}: a worker that must "
            "reject a larger one stops",
            remedy,
        )
    if events > MAX_REQUEST_BYTES - _FRAMING_BYTES:
        is_well = False
        remedy = alter_topic_remedy(facts, EVENTS, f"max.message.bytes={4 << 20}")
        yield Finding(
            "failure",
            f"{EVENTS} takes records of {format_bytes(events)}, a worker can reject at most "
            f"{format_bytes(MAX_REQUEST_BYTES)} and stops at more",
            remedy,
        )
    if is_well:
        yield Finding(
            "ok", f"{EVENTS} takes {format_bytes(events)}, {REJECTED} {format_bytes(rejected)}"
        )


def rejected_retention(facts: Facts) -> Iterator[Finding]:
    """Are rejected records kept as long as events?"""
    events, rejected = (int(facts.config(name, "retention.ms")) for name in (EVENTS, REJECTED))
    if rejected == UNLIMITED or (events != UNLIMITED and rejected >= events):
        yield Finding("ok", f"rejected records are kept {format_retention(rejected)}")
    else:
        yield Finding(
            "warning",
            f"rejected records are kept {format_retention(rejected)}, events "
            f"{format_retention(events)}: what "
            "could still be repaired and sent again is gone",
            alter_topic_remedy(
                facts,
                REJECTED,
                f"retention.ms={events if events == UNLIMITED else max(events, 90 * DAY_MS)}",
            ),
        )


def units_cleanup_policy(facts: Facts) -> Iterator[Finding]:
    """Is the registry compacted?"""
    found = facts.config(UNITS, "cleanup.policy")
    if found == "compact":
        yield Finding("ok", "cleanup.policy=compact")
    else:
        yield Finding(
            "failure",
            f"cleanup.policy={found}: entries of the registry vanish with time",
            f"{alter_topic_remedy(facts, UNITS, 'cleanup.policy=compact')}; then `pravah units "
            "load`",
        )
