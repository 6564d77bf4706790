"""What a rule is: its types, and the texts that several rules share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from doctor.facts import Facts, UnavailableError
from doctor.facts.clickhouse import Chunk
from doctor.facts.disk import Disk

Verdict = Literal["ok", "warning", "failure"]
Area = Literal["Kafka", "ClickHouse", "registry", "gateway", "settings"]

# A clock that is further off is a warning, or a failure.
CLOCK_WARNING_SECONDS, CLOCK_FAILURE_SECONDS = 2.0, 60.0

# Kafka's word for a limit that is off.
UNLIMITED = -1
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

_LOW_BYTES, _LOW_SHARE, _TOO_LOW_BYTES = 5 << 30, 0.1, 1 << 30
_MAX_PARTITIONS_SHOWN = 8


class Finding(NamedTuple):
    """Result of a rule."""

    verdict: Verdict
    found: str
    remedy: str = ""


class Rule(NamedTuple):
    """A check: `judge` is a pure function, and yields nothing where the check does not apply."""

    area: Area
    name: str
    judge: Callable[[Facts], Iterable[Finding]]


def judge_disks(disks: Sequence[Disk], consequence: str) -> Iterator[Finding]:
    """Judge free disk space.

    Args:
        disks: that a server writes to.
        consequence: what happens when one is full.

    Raises:
        UnavailableError: there are no disks.
    """
    is_well = True
    for name, free, total in disks:
        if free < _TOO_LOW_BYTES or free < min(_LOW_BYTES, total) or free < total * _LOW_SHARE:
            is_well = False
            verdict: Verdict = "failure" if free < _TOO_LOW_BYTES else "warning"
            yield Finding(
                verdict,
                f"{name}: {format_bytes(free)} free of {format_bytes(total)}; {consequence}",
                "make room, or give it a larger disk",
            )
    if not disks:
        msg = "the server tells no disk of its own"
        raise UnavailableError(msg)
    if is_well:
        least = min(disk.free for disk in disks)
        yield Finding("ok", f"{format_bytes(least)} free or more")


def start_remedy(facts: Facts, settings: str) -> str:
    """Remedy for a server that does not answer.

    Args:
        facts: whether the server is the home folder's.
        settings: the settings that name another one.
    """
    return (
        "`pravah status` shows what runs, `pravah up` starts it"
        if facts.is_embedded
        else f"is it up, and are {settings} right?"
    )


def alter_topic_remedy(facts: Facts, topic: str, setting: str) -> str:
    """Remedy that changes a topic's setting.

    A command if Kafka needs no account; else a sentence, so that no password is in an argument.
    """
    kafka = facts.settings.kafka
    if kafka.security_protocol != "PLAINTEXT":
        return f"set {setting} on the topic {topic} with your Kafka's tools (kafka-configs --alter)"
    servers = " ".join(f"-b {server}" for server in kafka.bootstrap_servers.split(","))
    return f"`python -m kafka.admin {servers} configs alter -r topic -n {topic} -c {setting}`"


def format_partitions(partitions: Iterable[int]) -> str:
    """List partitions by number, the first few if there are many."""
    numbers = sorted(partitions)
    shown = ", ".join(map(str, numbers[:_MAX_PARTITIONS_SHOWN]))
    more = " …" if len(numbers) > _MAX_PARTITIONS_SHOWN else ""
    return f"partition{'s' if len(numbers) > 1 else ''} {shown}{more}"


def format_chunk(chunk: Chunk) -> str:
    """A chunk by its start, partition and end."""
    return f"chunk {chunk.start:,} of partition {chunk.partition}, up to {chunk.next_offset:,}"


def format_bytes(size: int) -> str:
    """A size in GiB, MiB, KiB or bytes."""
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):.1f} {unit}"
    return f"{size} bytes"


def format_retention(millis: int) -> str:
    """A topic's retention in days or hours, "for ever" if it is unlimited."""
    if millis == UNLIMITED:
        return "for ever"
    if millis >= 2 * DAY_MS:
        return f"{millis / DAY_MS:.3g} days"
    return f"{millis / HOUR_MS:.3g} hours"
