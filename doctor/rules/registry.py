"""Rules about the unit registry, the metric dictionary and the plan."""

from collections.abc import Iterator

from doctor.facts import Facts, UnavailableError
from doctor.rules.base import Finding, Rule
from pravah.topics import UNITS
from sinks.deployment import REGISTRY

_MAX_METRICS_SHOWN = 5
_LOAD_REGISTRY = (
    "load the registry again: `pravah units load FOLDER` (without a folder: the one that comes "
    "with Pravah)"
)


def _units_topic(facts: Facts) -> Iterator[Finding]:
    if facts.units.problem:
        yield Finding(
            "failure",
            f"the topic {UNITS} holds no registry: {facts.units.problem}",
            f"{_LOAD_REGISTRY}; no worker starts without",
        )
    else:
        yield Finding(
            "ok",
            f"{facts.units.units:,} units, fingerprint {facts.units.fingerprint}, all checks "
            "passed",
        )


def _active_registry(facts: Facts) -> Iterator[Finding]:
    units, tables = facts.units, facts.tables
    if units.problem:
        msg = f"the topic {UNITS} holds no registry"
        raise UnavailableError(msg)
    noted = tables.deployment.get(REGISTRY)
    if noted != units.fingerprint:
        yield Finding(
            "failure",
            f"{UNITS} holds the registry {units.fingerprint}, in force in ClickHouse is "
            f"{noted or 'none'}: workers close no chunk until they agree",
            f"a load was cut short, or the topic was written by others: {_LOAD_REGISTRY}",
        )
    elif tables.unit_count != units.units:
        yield Finding(
            "failure",
            f"the table `units` has {tables.unit_count:,} units, the registry in force "
            f"{units.units:,}: readers and workers disagree",
            _LOAD_REGISTRY,
        )
    else:
        yield Finding("ok", "topic, tables and the one in force agree")


def _metric_dictionary(facts: Facts) -> Iterator[Finding]:
    ours = {
        m.metric: (m.type, m.unit, m.name_en, m.name_hi) for m in facts.dictionary.metrics.values()
    }
    theirs = {row[0]: row[1:] for row in facts.tables.metrics}
    differing = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    shown = ", ".join(differing[:_MAX_METRICS_SHOWN])
    more = " …" if len(differing) > _MAX_METRICS_SHOWN else ""
    if differing:
        yield Finding(
            "failure",
            f"metrics in ClickHouse are not those of the file: {shown}{more}",
            "`pravah up` loads them",
        )
    else:
        yield Finding("ok", f"{len(ours)} metrics, the same in ClickHouse and in the file")


def _plan(facts: Facts) -> Iterator[Finding]:
    if facts.plan_problem:
        yield Finding(
            "failure",
            f"the plan cannot be used: {facts.plan_problem}",
            "repair the file, or install Pravah again",
        )
    else:
        yield Finding("ok", "the plan that comes with Pravah passes its checks")


RULES = (
    Rule("registry", "topic units", _units_topic),
    Rule("registry", "in force", _active_registry),
    Rule("registry", "metric dictionary", _metric_dictionary),
    Rule("registry", "plan", _plan),
)
