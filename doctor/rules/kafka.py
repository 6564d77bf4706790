"""Rules about Kafka: topics, retention, replication, record keys, workers."""

from collections.abc import Iterator

from doctor.facts import Facts, UnavailableError
from doctor.facts.disk import Disk
from doctor.facts.kafka import SampledRecord
from doctor.rules import topics
from doctor.rules.base import (
    CLOCK_FAILURE_SECONDS,
    CLOCK_WARNING_SECONDS,
    Finding,
    Rule,
    format_partitions,
    judge_disks,
    start_remedy,
)
from pravah.topics import EVENTS
from pravah.units import routing_key
from streams.app import partition_of

_STALLED_SECONDS = 120


def _connection(facts: Facts) -> Iterator[Finding]:
    where = facts.settings.kafka.bootstrap_servers
    if isinstance(facts.kafka_or_reason, str):
        yield Finding(
            "failure",
            f"no Kafka answers at {where}: {facts.kafka_or_reason}",
            start_remedy(facts, "PRAVAH_KAFKA__BOOTSTRAP_SERVERS and its account"),
        )
    else:
        brokers = len(facts.kafka.brokers)
        yield Finding("ok", f"{brokers} broker{'s' if brokers > 1 else ''} at {where}")


def _log_and_figures(facts: Facts) -> Iterator[Finding]:
    kafka, tables = facts.kafka, facts.tables
    facts.topic(EVENTS)
    gone, short, before = {}, {}, {}
    for partition, begin in kafka.begin_offsets.items():
        opened = [chunk.start for chunk in tables.open_chunks if chunk.partition == partition]
        known = [
            tables.closed_to.get(partition),
            min(opened, default=None),
            kafka.group.committed.get(partition),
        ]
        reached = next((offset for offset in known if offset is not None), None)
        if reached is None:
            before[partition] = begin
        elif reached < begin:
            gone[partition] = begin - reached
        if tables.durable_to.get(partition, 0) > kafka.end_offsets[partition]:
            short[partition] = tables.durable_to[partition] - kafka.end_offsets[partition]
    if any(gone.values()):
        yield Finding(
            "failure",
            f"{sum(gone.values()):,} records were deleted before they were counted for good, in "
            f"{format_partitions(gone)}: no worker goes on there",
            "lengthen the topic's retention; then say with `pravah rebuild lost` that they "
            "cannot be counted, or have their sources send them again",
        )
    if any(short.values()):
        yield Finding(
            "failure",
            f"the log ends {sum(short.values()):,} records before what the figures counted, in "
            f"{format_partitions(short)}: it lost its end, or an older copy was put back",
            "bring the log's end back, or rebuild the figures with `pravah rebuild log`",
        )
    if any(before.values()):
        at = {partition: begin for partition, begin in before.items() if begin}
        yield Finding(
            "warning",
            f"{sum(at.values()):,} records were deleted before any worker read them, in "
            f"{format_partitions(at)}",
            "have their sources send them again",
        )
    if not any((*gone.values(), *short.values(), *before.values())):
        yield Finding("ok", "nothing was deleted before it was counted")


def _session_timeout(facts: Facts) -> Iterator[Finding]:
    wanted = facts.settings.session_timeout_seconds
    is_well = True
    for broker in facts.kafka.brokers:
        if not broker.configs:
            msg = (
                "Kafka does not tell the settings of its brokers; give our account the right "
                "DescribeConfigs on the cluster"
            )
            raise UnavailableError(msg)
        least, most = (
            int(broker.configs[f"group.{bound}.session.timeout.ms"]) / 1000
            for bound in ("min", "max")
        )
        if not least <= wanted <= most:
            is_well = False
            found = (
                f"PRAVAH_SESSION_TIMEOUT_SECONDS is {wanted:g}, broker {broker.number} takes "
                f"{least:g} to {most:g}: no worker can join"
            )
            yield Finding(
                "failure",
                found,
                f"set PRAVAH_SESSION_TIMEOUT_SECONDS={min(max(wanted, least), most):g} for "
                "every worker",
            )
    if is_well:
        yield Finding("ok", f"{wanted:g} s")


def _record_keys(facts: Facts) -> Iterator[Finding]:
    partitions = facts.topic(EVENTS).partitions
    events = [(record, routing_key(record.unit)) for record in facts.kafka.sample if record.unit]
    other_key = [(record, key) for record, key in events if record.key != key.encode()]
    elsewhere = [
        (record, key)
        for record, key in events
        if record.key == key.encode() and partition_of(key, partitions) != record.partition
    ]
    if other_key:
        yield Finding(
            "warning",
            f"{len(other_key):,} of the newest {len(events):,} events have another key than "
            f"their unit's: {_key_example(*other_key[0], partitions)}. Workers send them on, at a "
            "cost",
            "the key must be the assembly for booths and assemblies, else the unit itself: send "
            "by `pravah emit`, `pravah import` or pravah.producer, or repair the producer",
        )
    if elsewhere:
        yield Finding(
            "warning",
            f"{len(elsewhere):,} of the newest {len(events):,} events lie in another partition "
            f"than their key's hash says: {_key_example(*elsewhere[0], partitions)}. "
            "Workers send them on, at a cost",
            "the producer must hash keys as Kafka's own client does (in librdkafka "
            "partitioner=murmur2_random), and see all partitions",
        )
    if not other_key and not elsewhere:
        yield Finding(
            "ok",
            f"the newest {len(events):,} events lie where their units' keys belong"
            if events
            else "no events yet",
        )


def _key_example(record: SampledRecord, key: str, partitions: int) -> str:
    given = "no key" if record.key is None else f"key {record.key.decode(errors='replace')[:60]!r}"
    return (
        f"partition {record.partition}, offset {record.offset}: unit {record.unit}, {given}; "
        f"expected {key!r} in partition {partition_of(key, partitions)}"
    )


def _clock(facts: Facts) -> Iterator[Finding]:
    if facts.config(EVENTS, "message.timestamp.type") != "LogAppendTime":
        msg = f"records of {EVENTS} do not carry the broker's time"
        raise UnavailableError(msg)
    newest = max((record.timestamp for record in facts.kafka.sample), default=0)
    ahead = (newest - facts.kafka.gathered_at) / 1000
    if ahead > CLOCK_WARNING_SECONDS:
        yield Finding(
            "failure" if ahead > CLOCK_FAILURE_SECONDS else "warning",
            f"the newest record was appended {ahead:,.1f} s from now: a broker's clock, or this "
            "machine's, is wrong",
            "let all machines follow a time server (NTP)",
        )
    else:
        yield Finding(
            "ok", "no record comes from the future" if newest else "no record yet to see it by"
        )


def _disk_space(facts: Facts) -> Iterator[Finding]:
    disks = [
        Disk(f"broker {broker.number}", disk.free, disk.total)
        for broker in facts.kafka.brokers
        for disk in broker.disks
    ]
    yield from judge_disks(disks, "Kafka takes no records without disk space")


def _workers(facts: Facts) -> Iterator[Finding]:
    kafka, tables = facts.kafka, facts.tables
    facts.topic(EVENTS)
    behind = {
        partition: end - min(tables.durable_to.get(partition, 0), end)
        for partition, end in kafka.end_offsets.items()
    }
    waiting, members = sum(behind.values()), kafka.group.members
    newest = {record.partition: record.timestamp for record in kafka.sample}
    still = {
        partition: count
        for partition, count in behind.items()
        if count
        and (kafka.gathered_at - newest.get(partition, 0)) / 1000 > _STALLED_SECONDS
        and tables.seconds_since_write.get(partition, _STALLED_SECONDS + 1) > _STALLED_SECONDS
    }
    if waiting and not members:
        yield Finding(
            "warning",
            f"no worker runs in the group {facts.settings.consumer_group!r}, and {waiting:,} "
            "records wait",
            "`pravah worker`, best as a service that starts again",
        )
    elif still:
        yield Finding(
            "warning",
            f"{members} workers run, but {format_partitions(still)} stands still for more than "
            f"{_STALLED_SECONDS} s with {sum(still.values()):,} records waiting",
            "a worker's log, /readyz and /metrics say why",
        )
    else:
        idle = (
            f", {members - len(behind)} of them idle: there are {len(behind)} partitions"
            if members > len(behind)
            else ""
        )
        yield Finding("ok", f"{members} run{idle}; {waiting:,} records wait")


RULES = (
    Rule("Kafka", "answers", _connection),
    Rule("Kafka", "topics", topics.existence),
    Rule("Kafka", "append time", topics.append_time),
    Rule("Kafka", "events are kept", topics.events_cleanup_policy),
    Rule("Kafka", "retention", topics.retention),
    Rule("Kafka", "size of the log", topics.retention_bytes),
    Rule("Kafka", "log and figures", _log_and_figures),
    Rule("Kafka", "partitions", topics.partition_count),
    Rule("Kafka", "same topic", topics.topic_identity),
    Rule("Kafka", "copies", topics.replication_factor),
    Rule("Kafka", "election", topics.leader_election),
    Rule("Kafka", "record sizes", topics.record_sizes),
    Rule("Kafka", "rejected are kept", topics.rejected_retention),
    Rule("Kafka", "units compacted", topics.units_cleanup_policy),
    Rule("Kafka", "session time-out", _session_timeout),
    Rule("Kafka", "keys", _record_keys),
    Rule("Kafka", "clock", _clock),
    Rule("Kafka", "disk", _disk_space),
    Rule("Kafka", "workers", _workers),
)
