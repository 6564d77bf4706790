"""Rules about the gateway: sources, outbox, archive, refused bodies, silence, its registry.

Where no gateway is set up and none has run, only the rule about sources says so.
"""

from collections.abc import Callable, Iterable, Iterator

from doctor.facts import Facts
from doctor.facts.gateway import GatewayFile
from doctor.rules.base import Finding, Rule, Verdict, format_bytes, judge_disks
from sinks.deployment import REGISTRY

# A record that waits longer means that Kafka is away, or no gateway runs.
_OUTBOX_WARNING_SECONDS, _OUTBOX_FAILURE_SECONDS = 60.0, 3_600.0
# Share of a limit from which there is little left.
_NEARLY_FULL = 0.8
_MAX_SHOWN = 5
_DAY_SECONDS = 86_400.0
_DURATIONS = ((_DAY_SECONDS, "days"), (3_600.0, "hours"), (60.0, "minutes"))

_START = "`pravah gateway`, best as a service that starts again"


def _sources(facts: Facts) -> Iterator[Finding]:
    gateway = facts.gateway
    if gateway.source_problems:
        yield Finding(
            "failure",
            f"a gateway cannot start with the sources in {gateway.folder}: "
            f"{_listed(gateway.source_problems, '; ')}",
            "repair these files; set a variable that is missing where the gateway runs, and for "
            "`pravah doctor` too",
        )
    elif gateway.sources:
        yield Finding("ok", f"{len(gateway.sources)} can be read: {', '.join(gateway.sources)}")
    elif gateway.file is not None:
        yield Finding(
            "warning",
            f"a gateway ran on this home, but {gateway.folder} has no sources",
            "set PRAVAH_GATEWAY_SOURCES as the gateway has it, and call `pravah doctor` again",
        )
    else:
        yield Finding("ok", "no gateway is set up, and none has run on this home")


def _running(facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    waiting = file.status.outbox.rows
    if file.is_running:
        yield Finding("ok", "a gateway runs on this home")
    elif waiting:
        yield Finding(
            "failure",
            f"no gateway runs on this home, and {waiting:,} accepted events wait for Kafka",
            f"{_START}: it sends them",
        )
    elif facts.gateway.sources:
        yield Finding(
            "warning", "no gateway runs on this home: nobody receives what sources send", _START
        )
    else:
        yield Finding("ok", "no gateway runs on this home, and nothing waits")


def _outbox(facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    outbox, settings = file.status.outbox, facts.settings
    share = max(outbox.rows / settings.outbox_rows, outbox.bytes / settings.outbox_bytes)
    age = 0.0 if outbox.oldest_at is None else max(0.0, file.gathered_at - outbox.oldest_at)
    backlog = f"{outbox.rows:,} events ({format_bytes(outbox.bytes)}) wait for Kafka"
    trouble = f": {outbox.trouble}" if outbox.trouble else ""
    is_well = True
    if outbox.rows and age > _OUTBOX_WARNING_SECONDS:
        is_well = False
        yield Finding(
            "failure" if age > _OUTBOX_FAILURE_SECONDS else "warning",
            f"{backlog}, the oldest for {_duration(age)}{trouble}",
            "bring Kafka back, and see that a gateway runs: what waits is then sent by itself",
        )
    if share >= _NEARLY_FULL:
        is_well = False
        verdict: Verdict = "failure" if share >= 1 else "warning"
        yield Finding(
            verdict,
            f"the outbox is {share:.0%} full, of {settings.outbox_rows:,} events and "
            f"{format_bytes(settings.outbox_bytes)}: when full, senders are refused",
            "bring Kafka back; until then raise PRAVAH_OUTBOX_ROWS and PRAVAH_OUTBOX_BYTES, if "
            "the disk has space",
        )
    if is_well:
        yield Finding("ok", backlog if outbox.rows else "nothing waits for Kafka")


def _disk_space(_facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    yield from judge_disks(
        [file.disk], "without disk space the gateway accepts nothing, and senders must try again"
    )


def _archive(facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    size, limit = file.status.archive_bytes, facts.settings.gateway_archive_bytes
    days = facts.settings.gateway_archive_days
    oldest = file.gathered_at if file.archive_oldest_at is None else file.archive_oldest_at
    age_days = max(0.0, file.gathered_at - oldest) / _DAY_SECONDS
    if size >= limit * _NEARLY_FULL and age_days < days:
        yield Finding(
            "warning",
            f"the archive has {format_bytes(size)} of {format_bytes(limit)}, and its oldest body "
            f"is {age_days:.1f} days old: bodies, refused ones too, are deleted before "
            f"{days:g} days",
            f"raise PRAVAH_GATEWAY_ARCHIVE_BYTES (now {limit}), or lower "
            "PRAVAH_GATEWAY_ARCHIVE_DAYS to what you need",
        )
    else:
        yield Finding("ok", f"{format_bytes(size)} of {format_bytes(limit)}")


def _refused_bodies(facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    waiting = {source.name: source.waiting for source in file.status.sources if source.waiting}
    if waiting:
        by_source = _listed(f"{name} {count:,}" for name, count in waiting.items())
        yield Finding(
            "warning",
            f"{sum(waiting.values()):,} refused bodies wait to be repaired ({by_source}); after "
            f"{facts.settings.gateway_archive_days:g} days they are deleted",
            "`pravah gateway rejected list` shows why; repair the mapping, an alias or the body, "
            "then `pravah gateway rejected send`, or `pravah gateway rejected drop`",
        )
    else:
        yield Finding("ok", "no refused body waits to be repaired")


def _silent_sources(_facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    silent = [
        f"{source.name} for {_duration(source.silence)} (usually every "
        f"{_duration(source.habit.median)})"
        for source in file.status.sources
        if source.is_silent and source.silence is not None and source.habit is not None
    ]
    if silent:
        yield Finding(
            "warning",
            f"sources are silent for longer than is usual: {_listed(silent)}",
            "see in the field tool whether its hook still sends, and with which answer; "
            "`pravah gateway pull` fetches what was missed",
        )
    else:
        yield Finding("ok", "no source is silent for longer than is usual")


def _pulls(_facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    failed = [f"{name}: {state.trouble}" for name, state in file.pulls.items() if state.trouble]
    if failed:
        yield Finding(
            "warning",
            f"the last pull failed: {_listed(failed, '; ')}",
            "repair the address or the token in the source's [pull]; `pravah gateway pull` tries "
            "again",
        )
    else:
        yield Finding("ok", f"{len(file.pulls)} sources pulled" if file.pulls else "none was tried")


def _registry(facts: Facts, file: GatewayFile) -> Iterator[Finding]:
    active = facts.tables.deployment.get(REGISTRY)
    at = file.status.registry_at
    seen = "" if at is None else f", read {_duration(max(0.0, file.gathered_at - at))} ago"
    if not file.registry_fingerprint:
        yield Finding(
            "failure",
            "the gateway has read no unit registry yet: it accepts nothing",
            "see that it reaches Kafka, and `pravah units load` a registry if there is none",
        )
    elif active is not None and file.registry_fingerprint != active:
        yield Finding(
            "warning",
            f"the gateway checks units by the registry {file.registry_fingerprint}{seen}; in "
            f"force is {active}",
            "see that the gateway runs and reaches Kafka: it reads a new registry within a minute",
        )
    else:
        yield Finding("ok", f"the registry in force{seen}")


def _listed(texts: Iterable[str], separator: str = ", ") -> str:
    shown = list(texts)
    more = " …" if len(shown) > _MAX_SHOWN else ""
    return separator.join(shown[:_MAX_SHOWN]) + more


def _duration(seconds: float) -> str:
    for length, name in _DURATIONS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def _if_run(
    judge: Callable[[Facts, GatewayFile], Iterable[Finding]],
) -> Callable[[Facts], Iterator[Finding]]:
    """A rule that applies only to a home on which a gateway has run."""

    def judge_file(facts: Facts) -> Iterator[Finding]:
        if facts.gateway.file is not None:
            yield from judge(facts, facts.gateway.file)

    return judge_file


RULES = (
    Rule("gateway", "sources", _sources),
    Rule("gateway", "running", _if_run(_running)),
    Rule("gateway", "outbox", _if_run(_outbox)),
    Rule("gateway", "disk", _if_run(_disk_space)),
    Rule("gateway", "archive", _if_run(_archive)),
    Rule("gateway", "refused bodies", _if_run(_refused_bodies)),
    Rule("gateway", "silent sources", _if_run(_silent_sources)),
    Rule("gateway", "pulls", _if_run(_pulls)),
    Rule("gateway", "gateway's registry", _if_run(_registry)),
)
