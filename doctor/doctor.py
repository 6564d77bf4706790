"""`pravah doctor`: is this deployment fit for exact figures, and what is to be done where it is not.

What can be seen is gathered once (`doctor.kafka_facts`, `doctor.clickhouse_facts`) into `Facts`. Every rule is a pure function from facts to findings. A rule that asks for something that
could not be seen is told as not made.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import orjson
import typer
from clickhouse_driver.errors import Error as DriverError
from kafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

import reference
from doctor.clickhouse_facts import (
    READERS,
    Chunk,
    ServerFacts,
    TableFacts,
    look_at_server,
    look_at_tables,
)
from doctor.kafka_facts import TOPICS, KafkaFacts, Sampled, Topic, look_at_kafka
from operations.bootstrap import default_dictionary
from pravah.events import MAX_EVENT_BYTES
from pravah.producer import ProducerError
from pravah.settings import KafkaSettings, Settings
from pravah.topics import EVENTS, REJECTED, UNITS
from pravah.units import routing_key
from producers.topics.registry import read_registry
from reports.pdf import missing_libraries
from schemas.metrics import MetricDictionary
from schemas.plan import Plan, PlanError
from schemas.registry import RegistryError
from sinks.connection import first_line
from sinks.deployment import EVENTS_PARTITIONS, EVENTS_TOPIC, REGISTRY
from stack.control import is_embedded
from streams.app import MAX_REQUEST_BYTES, partition_of

T = TypeVar("T")

Verdict = Literal["ok", "warning", "failure"]
Area = Literal["Kafka", "ClickHouse", "registry", "settings"]


class Finding(NamedTuple):
    """What a rule says."""

    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    area: Area
    name: str
    verdict: Verdict
    found: str
    remedy: str


NOT_CHECKED = "not checked"
"""So begins what was found where nothing could be looked at."""


class NotSeenError(LookupError):
    """What a rule asks for could not be seen; the message says why."""


@dataclass(frozen=True)
class UnitsTopic:
    """The registry that the topic `units` holds."""

    units: int = 0
    fingerprint: str = ""
    problem: str = ""
    """Why what is there is no registry."""


@dataclass(frozen=True)
class Facts:
    """What rules decide by. Where a thing could not be seen, the reason stands in its place."""

    settings: Settings
    dictionary: MetricDictionary
    plan_problem: str
    embedded: bool
    """Whether the servers are those of the home folder."""
    missing_files: tuple[str, ...]
    """Files that the settings name and that are not there."""
    missing_libraries: str
    """Why reports cannot be made on paper; empty if they can."""
    kafka_or_why: KafkaFacts | str
    units_or_why: UnitsTopic | str
    server_or_why: ServerFacts | str
    tables_or_why: TableFacts | str

    @property
    def kafka(self) -> KafkaFacts:
        """Kafka as it was found."""
        return _seen(self.kafka_or_why, "Kafka does not answer")

    @property
    def units(self) -> UnitsTopic:
        """The registry in Kafka."""
        return _seen(self.units_or_why, self.units_or_why)

    @property
    def server(self) -> ServerFacts:
        """ClickHouse as it was found."""
        return _seen(self.server_or_why, "ClickHouse does not answer")

    @property
    def tables(self) -> TableFacts:
        """What our tables say."""
        return _seen(self.tables_or_why, self.tables_or_why)

    def topic(self, name: str) -> Topic:
        """One of our topics."""
        topic = self.kafka.topics.get(name)
        if topic is None:
            msg = f"there is no topic {name}"
            raise NotSeenError(msg)
        return topic

    def config(self, topic: str, name: str) -> str:
        """A setting of one of our topics."""
        value = self.topic(topic).configs.get(name)
        if value is None:
            msg = f"Kafka does not tell the settings of {topic}; give our account the right DescribeConfigs"
            raise NotSeenError(msg)
        return value


def _seen(thing: T | str, why: object) -> T:
    if isinstance(thing, str):
        raise NotSeenError(str(why))
    return thing


def diagnose(facts: Facts) -> list[Check]:
    """Every check, in the order of `RULES`. A rule that needs what could not be seen gives a warning that says so."""
    checks = []
    for area, name, rule in RULES:
        try:
            findings = list(rule(facts))
        except NotSeenError as why:
            findings = [
                Finding(
                    "warning",
                    f"{NOT_CHECKED}: {why}",
                    "mend that first, then call `pravah doctor` again",
                )
            ]
        checks += [Check(area, name, *finding) for finding in findings]
    return checks


# --- Kafka ----------------------------------------------------------------------------------------------------------------------------------------------

_HOUR, _DAY = 3_600_000, 86_400_000
_SHORTEST_RETENTION, _SENSIBLE_RETENTION = 2 * _HOUR, 7 * _DAY
_FRAMING = 65_536
"""Bytes that a record's key, headers and batch may take beside its value."""
_SLOW_CLOCK, _WRONG_CLOCK = 2.0, 60.0
_STANDS_STILL = 120
_UNLIMITED = -1


def _kafka_answers(facts: Facts) -> Iterator[Finding]:
    where = facts.settings.kafka.bootstrap_servers
    if isinstance(facts.kafka_or_why, str):
        yield Finding(
            "failure",
            f"no Kafka answers at {where}: {facts.kafka_or_why}",
            _start(facts, "PRAVAH_KAFKA__BOOTSTRAP_SERVERS and its account"),
        )
    else:
        brokers = len(facts.kafka.brokers)
        yield Finding("ok", f"{brokers} broker{'s' if brokers > 1 else ''} at {where}")


def _topics_exist(facts: Facts) -> Iterator[Finding]:
    missing = [name for name in TOPICS if name not in facts.kafka.topics]
    if missing:
        yield Finding(
            "failure",
            f"missing: {', '.join(missing)}",
            "`pravah up` makes them; records that were in them are gone, unless the topic can be brought back",
        )
    else:
        yield Finding("ok", f"all there: {', '.join(TOPICS)}")


def _append_time(facts: Facts) -> Iterator[Finding]:
    found = facts.config(EVENTS, "message.timestamp.type")
    if found == "LogAppendTime":
        yield Finding("ok", "records carry the broker's append time")
    else:
        yield Finding(
            "failure",
            f"message.timestamp.type={found}: chunks are cut, and the future is told, by the append time, not by what a producer's clock says",
            _alter(facts, EVENTS, "message.timestamp.type=LogAppendTime"),
        )


def _events_are_kept(facts: Facts) -> Iterator[Finding]:
    found = facts.config(EVENTS, "cleanup.policy")
    if found == "delete":
        yield Finding("ok", "cleanup.policy=delete")
    else:
        yield Finding(
            "failure",
            f"cleanup.policy={found}: compaction takes out events that share a key, which is nearly all",
            _alter(facts, EVENTS, "cleanup.policy=delete"),
        )


def _retention(facts: Facts) -> Iterator[Finding]:
    kept = int(facts.config(EVENTS, "retention.ms"))
    told = f"records are kept {_duration(kept)}"
    remedy = _alter(facts, EVENTS, f"retention.ms={facts.settings.kafka.retention_days * _DAY}")
    if kept == _UNLIMITED or kept >= _SENSIBLE_RETENTION:
        yield Finding("ok", told)
    elif kept >= _SHORTEST_RETENTION:
        yield Finding(
            "warning",
            f"{told}: if no worker runs for longer, events are lost",
            f"keep them a week or longer. {remedy}",
        )
    else:
        yield Finding(
            "failure",
            f"{told}: an open chunk, which spans up to an hour, may lose its beginning, and then no worker goes on",
            remedy,
        )


def _retention_bytes(facts: Facts) -> Iterator[Finding]:
    most = int(facts.config(EVENTS, "retention.bytes"))
    if most == _UNLIMITED:
        yield Finding("ok", "the size of the log is not limited")
    else:
        yield Finding(
            "warning",
            f"a partition keeps at most {_bytes(most)}, however new what is beyond that may be: a busy day can lose events",
            f"{_alter(facts, EVENTS, f'retention.bytes={_UNLIMITED}')}; watch the disk instead",
        )


def _log_covers_figures(facts: Facts) -> Iterator[Finding]:
    kafka, tables = facts.kafka, facts.tables
    facts.topic(EVENTS)
    gone, short, before = {}, {}, {}
    for partition, begin in kafka.begins.items():
        opened = [chunk.start for chunk in tables.open_chunks if chunk.partition == partition]
        known = [
            tables.counted_to.get(partition),
            min(opened, default=None),
            kafka.group.committed.get(partition),
        ]
        reached = next((offset for offset in known if offset is not None), None)
        if reached is None:
            before[partition] = begin
        elif reached < begin:
            gone[partition] = begin - reached
        if tables.durable_to.get(partition, 0) > kafka.ends[partition]:
            short[partition] = tables.durable_to[partition] - kafka.ends[partition]
    if any(gone.values()):
        yield Finding(
            "failure",
            f"{sum(gone.values()):,} records were deleted before they were counted for good, in {_partitions(gone)}: no worker goes on there",
            "lengthen the topic's retention; then say with `pravah replay lost` that they cannot be counted, or have their sources send them again",
        )
    if any(short.values()):
        yield Finding(
            "failure",
            f"the log ends {sum(short.values()):,} records before what the figures counted, in {_partitions(short)}: it lost its end, or an older copy was put back",
            "bring the log's end back, or rebuild the figures with `pravah replay log`",
        )
    if any(before.values()):
        at = {partition: begin for partition, begin in before.items() if begin}
        yield Finding(
            "warning",
            f"{sum(at.values()):,} records were deleted before any worker read them, in {_partitions(at)}",
            "have their sources send them again",
        )
    if not any((*gone.values(), *short.values(), *before.values())):
        yield Finding("ok", "nothing was deleted before it was counted")


def _partition_count(facts: Facts) -> Iterator[Finding]:
    found, wanted = facts.topic(EVENTS).partitions, facts.settings.kafka.partitions
    counted = (
        facts.tables_or_why.deployment.get(EVENTS_PARTITIONS)
        if isinstance(facts.tables_or_why, TableFacts)
        else None
    )
    if counted not in {None, str(found)}:
        yield Finding(
            "failure",
            f"{EVENTS} has {found} partitions, the figures were counted from {counted}: units would lie in other partitions than their ledger, so no worker starts",
            f"rebuild the figures with `pravah replay log` and PRAVAH_KAFKA__PARTITIONS={found}",
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


def _same_topic(facts: Facts) -> Iterator[Finding]:
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
            f"{EVENTS} was made anew (it is {found}, the figures were counted from {counted}): its offsets name other records",
            "bring the old topic back, or rebuild the figures with `pravah replay log`",
        )
    else:
        yield Finding("ok", f"{EVENTS} is the one that the figures were counted from")


def _copies(facts: Facts) -> Iterator[Finding]:
    brokers = len(facts.kafka.brokers)
    fine = True
    for name, topic in facts.kafka.topics.items():
        needed = int(facts.config(name, "min.insync.replicas"))
        for finding in _copies_of(facts, name, topic, needed, brokers):
            fine = False
            yield finding
    if fine:
        least = min((topic.replicas for topic in facts.kafka.topics.values()), default=0)
        yield Finding(
            "ok",
            "one broker, so one copy of everything"
            if brokers == 1
            else f"each topic has {least} copies or more, all in sync",
        )


def _copies_of(
    facts: Facts, name: str, topic: Topic, needed: int, brokers: int
) -> Iterator[Finding]:
    more = "raise it with your Kafka's tools (kafka-reassign-partitions); PRAVAH_KAFKA__REPLICATION holds for topics that are made anew"
    if topic.in_sync < max(needed, 1):
        yield Finding(
            "failure",
            f"{name}: a partition has {topic.in_sync} copies in sync, min.insync.replicas is {needed}: it takes no records",
            f"start the brokers that are down; a min.insync.replicas above the number of copies ({topic.replicas}) must be lowered",
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
            f"{name}: one copy on {brokers} brokers: with a broker its records are away, and may be lost",
            more,
        )
    elif topic.replicas > 1 and needed == 1:
        yield Finding(
            "warning",
            f"{name}: min.insync.replicas=1: what one broker alone confirmed is lost with it",
            _alter(facts, name, "min.insync.replicas=2"),
        )
    elif topic.replicas > 1 and needed == topic.replicas:
        yield Finding(
            "warning",
            f"{name}: min.insync.replicas={needed} of {topic.replicas} copies: with any broker down nothing can be sent",
            more,
        )


def _clean_election(facts: Facts) -> Iterator[Finding]:
    if facts.config(EVENTS, "unclean.leader.election.enable") == "true":
        remedy = _alter(facts, EVENTS, "unclean.leader.election.enable=false")
        yield Finding(
            "warning",
            "a copy that lags may become the leader: records that were confirmed, and counted, vanish",
            remedy,
        )
    else:
        yield Finding("ok", "only a copy that is in sync becomes the leader")


def _record_sizes(facts: Facts) -> Iterator[Finding]:
    events, rejected = (int(facts.config(name, "max.message.bytes")) for name in (EVENTS, REJECTED))
    fine = True
    if events < MAX_EVENT_BYTES + _FRAMING:
        fine = False
        remedy = _alter(facts, EVENTS, f"max.message.bytes={4 << 20}")
        yield Finding(
            "failure",
            f"{EVENTS} takes records of at most {_bytes(events)}, an event may have {_bytes(MAX_EVENT_BYTES)} and its key",
            remedy,
        )
    if rejected < MAX_REQUEST_BYTES:
        fine = False
        remedy = _alter(facts, REJECTED, f"max.message.bytes={MAX_REQUEST_BYTES}")
        yield Finding(
            "failure",
            f"{REJECTED} takes records of at most {_bytes(rejected)}: a worker that must reject a larger one stops",
            remedy,
        )
    if events > MAX_REQUEST_BYTES - _FRAMING:
        fine = False
        remedy = _alter(facts, EVENTS, f"max.message.bytes={4 << 20}")
        yield Finding(
            "failure",
            f"{EVENTS} takes records of {_bytes(events)}, a worker can reject at most {_bytes(MAX_REQUEST_BYTES)} and stops at more",
            remedy,
        )
    if fine:
        yield Finding("ok", f"{EVENTS} takes {_bytes(events)}, {REJECTED} {_bytes(rejected)}")


def _rejected_retention(facts: Facts) -> Iterator[Finding]:
    events, rejected = (int(facts.config(name, "retention.ms")) for name in (EVENTS, REJECTED))
    if rejected == _UNLIMITED or (events != _UNLIMITED and rejected >= events):
        yield Finding("ok", f"rejected records are kept {_duration(rejected)}")
    else:
        yield Finding(
            "warning",
            f"rejected records are kept {_duration(rejected)}, events {_duration(events)}: what could still be mended and sent again is gone",
            _alter(
                facts,
                REJECTED,
                f"retention.ms={events if events == _UNLIMITED else max(events, 90 * _DAY)}",
            ),
        )


def _units_compacted(facts: Facts) -> Iterator[Finding]:
    found = facts.config(UNITS, "cleanup.policy")
    if found == "compact":
        yield Finding("ok", "cleanup.policy=compact")
    else:
        yield Finding(
            "failure",
            f"cleanup.policy={found}: entries of the registry vanish with time",
            f"{_alter(facts, UNITS, 'cleanup.policy=compact')}; then `pravah units load`",
        )


def _session_timeout(facts: Facts) -> Iterator[Finding]:
    wanted = facts.settings.session_timeout_seconds
    fine = True
    for broker in facts.kafka.brokers:
        if not broker.configs:
            msg = "Kafka does not tell the settings of its brokers; give our account the right DescribeConfigs on the cluster"
            raise NotSeenError(msg)
        least, most = (
            int(broker.configs[f"group.{bound}.session.timeout.ms"]) / 1000
            for bound in ("min", "max")
        )
        if not least <= wanted <= most:
            fine = False
            found = f"PRAVAH_SESSION_TIMEOUT_SECONDS is {wanted:g}, broker {broker.number} takes {least:g} to {most:g}: no worker can join"
            yield Finding(
                "failure",
                found,
                f"set PRAVAH_SESSION_TIMEOUT_SECONDS={min(max(wanted, least), most):g} for every worker",
            )
    if fine:
        yield Finding("ok", f"{wanted:g} s")


def _keys(facts: Facts) -> Iterator[Finding]:
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
            f"{len(other_key):,} of the newest {len(events):,} events have another key than their unit's: {_example(*other_key[0], partitions)}. Workers send them on, at a cost",
            "the key must be the assembly for booths and assemblies, else the unit itself: send by `pravah emit`, `pravah import` or pravah.producer, or mend the producer",
        )
    if elsewhere:
        yield Finding(
            "warning",
            f"{len(elsewhere):,} of the newest {len(events):,} events lie in another partition than their key's hash says: {_example(*elsewhere[0], partitions)}. "
            "Workers send them on, at a cost",
            "the producer must hash keys as Kafka's own client does (in librdkafka partitioner=murmur2_random), and see all partitions",
        )
    if not other_key and not elsewhere:
        yield Finding(
            "ok",
            f"the newest {len(events):,} events lie where their units' keys belong"
            if events
            else "no events yet",
        )


def _example(record: Sampled, key: str, partitions: int) -> str:
    given = "no key" if record.key is None else f"key {record.key.decode(errors='replace')[:60]!r}"
    return f"partition {record.partition}, offset {record.offset}: unit {record.unit}, {given}; expected {key!r} in partition {partition_of(key, partitions)}"


def _broker_clock(facts: Facts) -> Iterator[Finding]:
    if facts.config(EVENTS, "message.timestamp.type") != "LogAppendTime":
        msg = f"records of {EVENTS} do not carry the broker's time"
        raise NotSeenError(msg)
    newest = max((record.timestamp for record in facts.kafka.sample), default=0)
    ahead = (newest - facts.kafka.looked_at) / 1000
    if ahead > _SLOW_CLOCK:
        yield Finding(
            "failure" if ahead > _WRONG_CLOCK else "warning",
            f"the newest record was appended {ahead:,.1f} s from now: a broker's clock, or this machine's, is wrong",
            "let all machines follow a time server (NTP)",
        )
    else:
        yield Finding(
            "ok", "no record comes from the future" if newest else "no record yet to see it by"
        )


def _kafka_disks(facts: Facts) -> Iterator[Finding]:
    yield from _room(
        [
            (f"broker {broker.number}", disk.free, disk.total)
            for broker in facts.kafka.brokers
            for disk in broker.disks
        ],
        "Kafka takes no records without room",
    )


def _workers(facts: Facts) -> Iterator[Finding]:
    kafka, tables = facts.kafka, facts.tables
    facts.topic(EVENTS)
    behind = {
        partition: end - min(tables.durable_to.get(partition, 0), end)
        for partition, end in kafka.ends.items()
    }
    waiting, members = sum(behind.values()), kafka.group.members
    newest = {record.partition: record.timestamp for record in kafka.sample}
    still = {
        partition: count
        for partition, count in behind.items()
        if count
        and (kafka.looked_at - newest.get(partition, 0)) / 1000 > _STANDS_STILL
        and tables.still_seconds.get(partition, _STANDS_STILL + 1) > _STANDS_STILL
    }
    if waiting and not members:
        yield Finding(
            "warning",
            f"no worker runs in the group {facts.settings.consumer_group!r}, and {waiting:,} records wait",
            "`pravah worker`, best as a service that starts again",
        )
    elif still:
        yield Finding(
            "warning",
            f"{members} workers run, but {_partitions(still)} stands still for more than {_STANDS_STILL} s with {sum(still.values()):,} records waiting",
            "a worker's log, /readyz and /metrics say why",
        )
    else:
        idle = (
            f", {members - len(behind)} of them idle: there are {len(behind)} partitions"
            if members > len(behind)
            else ""
        )
        yield Finding("ok", f"{members} run{idle}; {waiting:,} records wait")


# --- ClickHouse -----------------------------------------------------------------------------------------------------------------------------------------

_TESTED_CLICKHOUSE = (26, 7)
_LATE_REPLICA, _LONG_REPAIR = 60, 3600


def _clickhouse_answers(facts: Facts) -> Iterator[Finding]:
    where = f"{facts.settings.clickhouse.host}:{facts.settings.clickhouse.native_port}"
    if isinstance(facts.server_or_why, str):
        remedy = _start(
            facts,
            "PRAVAH_CLICKHOUSE__HOST, PRAVAH_CLICKHOUSE__NATIVE_PORT and PRAVAH_CLICKHOUSE__USERS",
        )
        yield Finding(
            "failure", f"no ClickHouse answers the writer at {where}: {facts.server_or_why}", remedy
        )
    else:
        yield Finding("ok", f"at {where}")


def _version(facts: Facts) -> Iterator[Finding]:
    found = facts.server.version
    if tuple(int(part) for part in found.split(".")[:2]) < _TESTED_CLICKHOUSE:
        yield Finding(
            "warning",
            f"{found}, older than the {'.'.join(map(str, _TESTED_CLICKHOUSE))} that Pravah is tested with",
            "update ClickHouse",
        )
    else:
        yield Finding("ok", found)


def _accounts(facts: Facts) -> Iterator[Finding]:
    accounts, database = facts.server.accounts, facts.settings.clickhouse.database
    fine = True
    for role in ("writer", *READERS):
        account = accounts.get(role)
        name = f"PRAVAH_CLICKHOUSE__USERS__{role.upper()}"
        if account is None:
            yield Finding(
                "warning",
                f"no account for {role} is set",
                f"make one that may read {database}.* only, and set {name}__USER and {name}__PASSWORD",
            )
        elif account.problem:
            yield Finding(
                "failure",
                f"{role} does not get in: {account.problem}",
                f"set {name}__USER and {name}__PASSWORD, or mend the account on the server",
            )
        elif account.lacks:
            grants = (
                f"GRANT ALL ON {database}.*"
                if role == "writer"
                else f"GRANT SELECT ON {database}.*"
            )
            yield Finding(
                "failure",
                f"{role} lacks the rights {', '.join(account.lacks)} on {database}",
                f"{grants} to the account",
            )
        elif account.may:
            remedy = f"REVOKE {', '.join(account.may)} ON {database}.* from the account, or give it a profile with readonly = 2"
            yield Finding(
                "failure",
                f"{role} may {', '.join(account.may)} on {database}: who only reads must not be able to change a figure",
                remedy,
            )
        else:
            continue
        fine = False
    if facts.server.unreadable:
        fine = False
        yield Finding(
            "warning",
            f"the writer may not read {', '.join(facts.server.unreadable)}, so a part of these checks says nothing",
            "GRANT SELECT ON system.* to the account",
        )
    if fine:
        yield Finding("ok", f"{', '.join(accounts)} get in; readers may only read")


def _schema(facts: Facts) -> Iterator[Finding]:
    at, newest = facts.server.migration, facts.server.newest_migration
    if at < newest:
        yield Finding(
            "failure", f"the schema is at migration {at}, this Pravah needs {newest}", "`pravah up`"
        )
    elif at > newest:
        yield Finding(
            "failure",
            f"the schema is at migration {at}, this Pravah knows {newest}",
            "update Pravah on this machine",
        )
    else:
        yield Finding("ok", f"migration {at}, the newest")


def _parts(facts: Facts) -> Iterator[Finding]:
    server = facts.server
    if not (server.parts_to_delay and server.parts_to_throw):
        msg = "ClickHouse does not tell its limits of parts"
        raise NotSeenError(msg)
    fine = True
    for table, active in server.parts:
        if active >= server.parts_to_delay:
            fine = False
            refused = active >= server.parts_to_throw
            yield Finding(
                "failure" if refused else "warning",
                f"{table} has {active:,} active parts: inserts are {'refused' if refused else 'slowed down'} from {server.parts_to_throw if refused else server.parts_to_delay:,} on",
                "merges do not keep up: raise PRAVAH_FLUSH_SECONDS, run fewer workers, and look at the server's disk and system.merges",
            )
    if fine:
        most = max(server.parts, key=lambda parts: parts.active, default=None)
        yield Finding(
            "ok",
            f"at most {most.active:,} ({most.table}), of {server.parts_to_delay:,}"
            if most
            else "none yet",
        )


def _clickhouse_disks(facts: Facts) -> Iterator[Finding]:
    yield from _room(list(facts.server.disks), "without room workers wait, and figures stand still")


def _clickhouse_clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.server.ahead_seconds
    if abs(ahead) > _SLOW_CLOCK:
        verdict: Verdict = "failure" if abs(ahead) > _WRONG_CLOCK else "warning"
        found = f"its clock is {abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's: `totals` ends with its today, and what was known when is told by it"
        yield Finding(verdict, found, "let all machines follow a time server (NTP)")
    else:
        yield Finding("ok", f"within {_SLOW_CLOCK:g} s of this machine's")


def _detached(facts: Facts) -> Iterator[Finding]:
    broken = [
        part
        for part in facts.server.detached
        if "broken" in part.reason or part.reason in {"unexpected", "noquorum"}
    ]
    others = [part for part in facts.server.detached if part.reason == ""]
    if broken:
        first = broken[0]
        yield Finding(
            "failure",
            f"{len(broken)} parts could not be read and were set aside, the first of {first.table}: {first.name} ({first.reason}). What was in them is not in the figures",
            "look at the disk; put the database back from a back-up, or `pravah reconcile` shows what is wrong; then ALTER TABLE … DROP DETACHED PART",
        )
    if others:
        first = others[0]
        yield Finding(
            "warning",
            f"{len(others)} parts were detached by hand, the first of {first.table}: {first.name}; they are not counted",
            "ALTER TABLE … ATTACH PART, or DROP DETACHED PART",
        )
    if not broken and not others:
        yield Finding("ok", "no part was set aside")


def _replicas(facts: Facts) -> Iterator[Finding]:
    replicas = facts.server.replicas
    readonly = [replica.table for replica in replicas if replica.readonly]
    late = [replica for replica in replicas if replica.delay_seconds > _LATE_REPLICA]
    if readonly:
        yield Finding(
            "failure",
            f"read-only replicas: {', '.join(readonly)}",
            "bring ClickHouse Keeper back; then SYSTEM RESTART REPLICA",
        )
    if late:
        worst = max(late, key=lambda replica: replica.delay_seconds)
        yield Finding(
            "warning",
            f"{worst.table} is {worst.delay_seconds} s behind its other copies: who reads here sees old figures",
            "look at system.replication_queue",
        )
    if not readonly and not late:
        yield Finding(
            "ok", f"{len(replicas)} tables, all current" if replicas else "one server, no replicas"
        )


def _repairs(facts: Facts) -> Iterator[Finding]:
    for repair in facts.tables.repairs:
        yield Finding(
            "failure" if repair.age_seconds > _LONG_REPAIR else "warning",
            f"repair {repair.number} ({repair.kind}: {repair.reason[:80]}) was begun {repair.age_seconds:,} s ago and is not complete: figures may hold a part of it",
            "if the command that made it still runs, let it end; else `pravah reconcile --repair` counts anew and writes what is left",
        )
    if not facts.tables.repairs:
        yield Finding("ok", "none is left half done")


def _reconciled(facts: Facts) -> Iterator[Finding]:
    last = facts.tables.reconciled
    if last is None:
        yield Finding("ok", "not yet: `pravah reconcile` proves the figures")
    elif last.different and not last.repair:
        yield Finding(
            "failure",
            f"at {last.at} {last.different:,} figures differed from the ledger, and were not repaired",
            "`pravah reconcile --repair`",
        )
    else:
        yield Finding(
            "ok",
            f"at {last.at}: {f'repaired, by repair {last.repair}' if last.different else 'every figure was what the ledger says'}",
        )


def _chunks(facts: Facts) -> Iterator[Finding]:
    overlapping = facts.tables.overlapping
    if overlapping:
        yield Finding(
            "failure",
            f"chunks overlap ({_chunk(overlapping[0])} begins before the one in front of it ends): records there may be counted twice",
            "`pravah reconcile` says whether; if so, rebuild the figures with `pravah replay log`. Workers with different PRAVAH_CHUNK_SIZE are the usual cause",
        )
    else:
        yield Finding("ok", "no two chunks overlap")


# --- registry, metric dictionary, plan ------------------------------------------------------------------------------------------------------------------


def _units_topic(facts: Facts) -> Iterator[Finding]:
    if facts.units.problem:
        yield Finding(
            "failure",
            f"the topic {UNITS} holds no registry: {facts.units.problem}",
            f"{_LOAD}; no worker starts without",
        )
    else:
        yield Finding(
            "ok",
            f"{facts.units.units:,} units, fingerprint {facts.units.fingerprint}, all checks passed",
        )


_LOAD = "load the registry again: `pravah units load FOLDER` (without a folder: the one that comes with Pravah)"


def _registry_in_force(facts: Facts) -> Iterator[Finding]:
    units, tables = facts.units, facts.tables
    if units.problem:
        msg = f"the topic {UNITS} holds no registry"
        raise NotSeenError(msg)
    noted = tables.deployment.get(REGISTRY)
    if noted != units.fingerprint:
        yield Finding(
            "failure",
            f"{UNITS} holds the registry {units.fingerprint}, in force in ClickHouse is {noted or 'none'}: workers close no chunk until they agree",
            f"a load was cut short, or the topic was written by others: {_LOAD}",
        )
    elif tables.units != units.units:
        yield Finding(
            "failure",
            f"the table `units` has {tables.units:,} units, the registry in force {units.units:,}: readers and workers disagree",
            _LOAD,
        )
    else:
        yield Finding("ok", "topic, tables and the one in force agree")


def _metrics(facts: Facts) -> Iterator[Finding]:
    ours = {
        m.metric: (m.type, m.unit, m.name_en, m.name_hi) for m in facts.dictionary.metrics.values()
    }
    theirs = {row[0]: row[1:] for row in facts.tables.metrics}
    differing = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    if differing:
        yield Finding(
            "failure",
            f"metrics in ClickHouse are not those of the file: {', '.join(differing[:5])}{' …' if len(differing) > len(differing[:5]) else ''}",
            "`pravah up` loads them",
        )
    else:
        yield Finding("ok", f"{len(ours)} metrics, the same in ClickHouse and in the file")


def _plan(facts: Facts) -> Iterator[Finding]:
    if facts.plan_problem:
        yield Finding(
            "failure",
            f"the plan cannot be used: {facts.plan_problem}",
            "mend the file, or install Pravah again",
        )
    else:
        yield Finding("ok", "the plan that comes with Pravah passes its checks")


# --- settings -------------------------------------------------------------------------------------------------------------------------------------------

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def _chunk_size(facts: Facts) -> Iterator[Finding]:
    size, tables = facts.settings.chunk_size, facts.tables
    reaching = [
        chunk
        for chunk in tables.open_chunks
        if chunk.next_offset > chunk.start
        and chunk.start // size != (chunk.next_offset - 1) // size
    ]
    if reaching:
        yield Finding(
            "failure",
            f"PRAVAH_CHUNK_SIZE is {size:,}, but the open {_chunk(reaching[0])} reaches over a place where that cuts: a worker with this size refuses to go on",
            "set the size that the workers had, equal for all of them, at least until no worker runs and all is counted",
        )
    elif tables.uncut:
        yield Finding(
            "warning",
            f"PRAVAH_CHUNK_SIZE is {size:,}, but closed chunks were cut by a larger size, the newest being {_chunk(tables.uncut[0])}",
            "harmless if the size was changed for all workers at once; make sure that all have the same now",
        )
    else:
        yield Finding("ok", f"{size:,}, and no chunk is larger")


def _person_key(facts: Facts) -> Iterator[Finding]:
    if facts.settings.person_key is None:
        yield Finding(
            "warning",
            "PRAVAH_PERSON_KEY is not set: `pravah import` cannot hash who is named",
            "set one secret of 16 characters or more, the same in the whole installation, and keep it",
        )
    else:
        yield Finding("ok", "PRAVAH_PERSON_KEY is set")


def _files(facts: Facts) -> Iterator[Finding]:
    if facts.missing_files:
        yield Finding(
            "failure",
            f"not there, or not readable: {', '.join(facts.missing_files)}",
            "mend the path, or the file's rights",
        )
    else:
        yield Finding("ok", "all files that are named can be read")


def _paper(facts: Facts) -> Iterator[Finding]:
    if facts.missing_libraries:
        found, _, remedy = facts.missing_libraries.partition("; ")
        yield Finding("warning", found, remedy)
    else:
        yield Finding("ok", "reports can be made as PDF and PNG")


def _encryption(facts: Facts) -> Iterator[Finding]:
    kafka, clickhouse = facts.settings.kafka, facts.settings.clickhouse
    open_to = []
    if not kafka.security_protocol.endswith("SSL") and not all(
        server.strip().startswith(_LOOPBACK) for server in kafka.bootstrap_servers.split(",")
    ):
        open_to.append(("Kafka", "PRAVAH_KAFKA__SECURITY_PROTOCOL=SASL_SSL"))
    if not clickhouse.secure and not clickhouse.host.startswith(_LOOPBACK):
        open_to.append(("ClickHouse", "PRAVAH_CLICKHOUSE__SECURE=true"))
    for server, remedy in open_to:
        yield Finding(
            "warning",
            f"passwords and events go to {server} over the network in the clear",
            f"let the server take TLS, and set {remedy}",
        )
    if not open_to:
        yield Finding("ok", "TLS, or this machine alone")


Rule = Callable[[Facts], Iterable[Finding]]

RULES: tuple[tuple[Area, str, Rule], ...] = (
    ("Kafka", "answers", _kafka_answers),
    ("Kafka", "topics", _topics_exist),
    ("Kafka", "append time", _append_time),
    ("Kafka", "events are kept", _events_are_kept),
    ("Kafka", "retention", _retention),
    ("Kafka", "size of the log", _retention_bytes),
    ("Kafka", "log and figures", _log_covers_figures),
    ("Kafka", "partitions", _partition_count),
    ("Kafka", "same topic", _same_topic),
    ("Kafka", "copies", _copies),
    ("Kafka", "election", _clean_election),
    ("Kafka", "record sizes", _record_sizes),
    ("Kafka", "rejected are kept", _rejected_retention),
    ("Kafka", "units compacted", _units_compacted),
    ("Kafka", "session time-out", _session_timeout),
    ("Kafka", "keys", _keys),
    ("Kafka", "clock", _broker_clock),
    ("Kafka", "disk", _kafka_disks),
    ("Kafka", "workers", _workers),
    ("ClickHouse", "answers", _clickhouse_answers),
    ("ClickHouse", "version", _version),
    ("ClickHouse", "accounts", _accounts),
    ("ClickHouse", "schema", _schema),
    ("ClickHouse", "parts", _parts),
    ("ClickHouse", "disk", _clickhouse_disks),
    ("ClickHouse", "clock", _clickhouse_clock),
    ("ClickHouse", "detached parts", _detached),
    ("ClickHouse", "replicas", _replicas),
    ("ClickHouse", "repairs", _repairs),
    ("ClickHouse", "reconciled", _reconciled),
    ("ClickHouse", "chunks", _chunks),
    ("registry", "topic units", _units_topic),
    ("registry", "in force", _registry_in_force),
    ("registry", "metric dictionary", _metrics),
    ("registry", "plan", _plan),
    ("settings", "chunk size", _chunk_size),
    ("settings", "person key", _person_key),
    ("settings", "files", _files),
    ("settings", "reports on paper", _paper),
    ("settings", "encryption", _encryption),
)
"""Area, name and function of every check."""


# --- words ----------------------------------------------------------------------------------------------------------------------------------------------

_LOW_BYTES, _LOW_SHARE, _TOO_LOW_BYTES = 5 << 30, 0.1, 1 << 30


def _room(disks: Sequence[tuple[str, int, int]], consequence: str) -> Iterator[Finding]:
    """About free disk space; each disk by name, free and total bytes."""
    fine = True
    for name, free, total in disks:
        if free < _TOO_LOW_BYTES or free < min(_LOW_BYTES, total) or free < total * _LOW_SHARE:
            fine = False
            verdict: Verdict = "failure" if free < _TOO_LOW_BYTES else "warning"
            yield Finding(
                verdict,
                f"{name}: {_bytes(free)} free of {_bytes(total)}; {consequence}",
                "make room, or give it a larger disk",
            )
    if not disks:
        msg = "the server tells no disk of its own"
        raise NotSeenError(msg)
    if fine:
        yield Finding("ok", f"{_bytes(min(free for _, free, _ in disks))} free or more")


def _start(facts: Facts, settings: str) -> str:
    return (
        "`pravah status` shows what runs, `pravah up` starts it"
        if facts.embedded
        else f"is it up, and are {settings} right?"
    )


def _alter(facts: Facts, topic: str, setting: str) -> str:
    """How a topic's setting is changed: a command where one does, without a password in its arguments."""
    kafka: KafkaSettings = facts.settings.kafka
    if kafka.security_protocol != "PLAINTEXT":
        return f"set {setting} on the topic {topic} with your Kafka's tools (kafka-configs --alter)"
    servers = " ".join(f"-b {server}" for server in kafka.bootstrap_servers.split(","))
    return f"`python -m kafka.admin {servers} configs alter -r topic -n {topic} -c {setting}`"


def _partitions(numbers: Iterable[int]) -> str:
    shown = sorted(numbers)
    most = 8
    return f"partition{'s' if len(shown) > 1 else ''} {', '.join(map(str, shown[:most]))}{' …' if len(shown) > most else ''}"


def _chunk(chunk: Chunk) -> str:
    return f"chunk {chunk.start:,} of partition {chunk.partition}, up to {chunk.next_offset:,}"


def _bytes(size: int) -> str:
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):.1f} {unit}"
    return f"{size} bytes"


def _duration(millis: int) -> str:
    if millis == _UNLIMITED:
        return "for ever"
    return f"{millis / _DAY:.3g} days" if millis >= 2 * _DAY else f"{millis / _HOUR:.3g} hours"


# --- the edge -------------------------------------------------------------------------------------------------------------------------------------------

_AWAY = (DriverError, OSError, EOFError)


def gather(settings: Settings, *, embedded: bool) -> Facts:
    """See what can be seen. Changes nothing; a server that is away costs seconds and is told in its place.

    Args:
        settings: the deployment.
        embedded: whether its servers are those of the home folder.
    """
    kafka = _look_at_kafka(settings)
    server = _look_at_server(settings)
    named = (
        settings.kafka.ca_file,
        settings.kafka.cert_file,
        settings.kafka.key_file,
        settings.clickhouse.ca_file,
    )
    return Facts(
        settings=settings,
        dictionary=default_dictionary(),
        plan_problem=_plan_problem(),
        embedded=embedded,
        missing_files=tuple(
            str(path) for path in named if path is not None and not _readable(path)
        ),
        missing_libraries=missing_libraries(),
        kafka_or_why=kafka,
        units_or_why=_look_at_units(settings, kafka),
        server_or_why=server,
        tables_or_why=_look_at_tables(settings, server),
    )


def _look_at_kafka(settings: Settings) -> KafkaFacts | str:
    try:
        return look_at_kafka(settings.kafka, settings.consumer_group)
    except KafkaError as error:
        return str(error).splitlines()[0]  # begins with the error's name
    except (OSError, ValueError) as error:
        return first_line(error)


def _look_at_units(settings: Settings, kafka: KafkaFacts | str) -> UnitsTopic | str:
    if isinstance(kafka, str):
        return "Kafka does not answer"
    if UNITS not in kafka.topics:
        return f"there is no topic {UNITS}"
    try:
        registry = read_registry(settings.kafka)
    except ProducerError as error:
        return first_line(error)
    except RegistryError as error:
        return UnitsTopic(problem="; ".join(str(error).splitlines()[:3]))
    except ValidationError as error:
        return UnitsTopic(
            problem=f"{error.title}: {error.errors(include_url=False, include_input=False)[0]['msg']}"
        )
    return (
        UnitsTopic(problem="it is empty")
        if registry is None
        else UnitsTopic(len(registry), registry.fingerprint())
    )


def _look_at_server(settings: Settings) -> ServerFacts | str:
    try:
        return look_at_server(settings.clickhouse)
    except LookupError as error:
        return str(error.args[0])
    except _AWAY as error:
        return first_line(error)


def _look_at_tables(settings: Settings, server: ServerFacts | str) -> TableFacts | str:
    if isinstance(server, str):
        return "ClickHouse does not answer"
    if server.migration != server.newest_migration:
        return "the schema is not the one that this Pravah knows"
    try:
        return look_at_tables(settings.clickhouse, settings.chunk_size)
    except _AWAY as error:
        return f"our tables cannot be read ({first_line(error)})"


def _plan_problem() -> str:
    try:
        Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    except (PlanError, OSError, ValueError) as error:
        return first_line(error)
    return ""


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


# --- the command ----------------------------------------------------------------------------------------------------------------------------------------

_WIDE = 160
_AREAS: dict[Area, str] = {
    "Kafka": "Kafka  काफ़्का",
    "ClickHouse": "ClickHouse  क्लिकहाउस",
    "registry": "registry  इकाई सूची",
    "settings": "settings  सेटिंग",
}
_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "ok": ("✓ ok\n  ठीक", "green"),
    "warning": ("! warning\n  चेतावनी", "yellow"),
    "failure": ("✗ failure\n  ख़राबी", "bold red"),
}


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Tell the checks as JSON.")] = False
) -> None:
    """Check this deployment, and say what to do about each thing found. Changes nothing.

    Kafka, its topics and newest records; ClickHouse, its accounts and tables; registry and metric dictionary; settings. Exit 1 if there is a failure; warnings are worth a look.
    """
    for driver in ("clickhouse_driver", "kafka"):
        logging.getLogger(driver).setLevel(
            logging.CRITICAL
        )  # a server that is away is told as a finding, not with a driver's traceback
    checks = diagnose(gather(Settings(), embedded=is_embedded()))
    if as_json:
        typer.echo(orjson.dumps([asdict(check) for check in checks]).decode())
    else:
        _show(checks)
    raise typer.Exit(1 if any(check.verdict == "failure" for check in checks) else 0)


def _together(checks: Iterable[Check]) -> Iterator[tuple[str, Check]]:
    """Checks with the names to show: those that were not made, one after another for one reason, as one."""
    for (_, found), group in groupby(
        checks,
        key=lambda check: (
            check.name if not check.found.startswith(NOT_CHECKED) else "",
            check.found,
        ),
    ):
        alike = list(group)
        yield (
            (
                ", ".join(check.name for check in alike)
                if found.startswith(NOT_CHECKED)
                else alike[0].name
            ),
            alike[0],
        )


def _show(checks: Sequence[Check]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table = Table()
    table.add_column("check\nजाँच", max_width=26)
    table.add_column("verdict\nनतीजा", no_wrap=True)
    table.add_column("found\nक्या मिला", ratio=5)
    table.add_column("what to do\nक्या करें", ratio=5)
    for area, heading in _AREAS.items():
        table.add_row(Text(heading, style="bold"))
        for names, check in _together(check for check in checks if check.area == area):
            word, style = _VERDICTS[check.verdict]
            shown = word.replace("\n", " ") if check.verdict == "ok" else word
            table.add_row(
                Text(f"  {names}"), Text(shown, style=style), Text(check.found), Text(check.remedy)
            )
        table.add_section()
    console.print(table)
    count = Counter(check.verdict for check in checks)
    console.print(
        f"ok ठीक: {count['ok']}, warning चेतावनी: {count['warning']}, failure ख़राबी: {count['failure']}",
        highlight=False,
    )
