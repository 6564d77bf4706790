"""Make Kafka and ClickHouse ready: topics, schema, registry, metric dictionary, plan. Each step does nothing where it was done before."""

from collections.abc import Callable, Iterable
from pathlib import Path

import reference
from pravah.settings import Settings
from producers.topics.registry import publish_registry
from schemas.metrics import MetricDictionary
from schemas.plan import Plan
from schemas.registry import Registry, registry_from_csv
from sinks.connection import connect
from sinks.deployment import REGISTRY, check_log, get_fact, set_fact
from sinks.dimensions import load_metrics, load_registry
from sinks.migrate import Schema, migrate
from sinks.plan import load_plan, loaded_fingerprint
from stack.topics import create_topics, identify


def default_dictionary() -> MetricDictionary:
    """The metric dictionary that comes with Pravah."""
    return MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))


def default_plan() -> Plan:
    """The plan that comes with Pravah."""
    return Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))


def read_registry_files(paths: Iterable[Path]) -> Registry:
    """Read and check registry files (`*.units.csv`, `*.parents.csv`).

    Raises:
        schemas.registry.RegistryError: with all findings.
        OSError: a file cannot be read.
    """
    return registry_from_csv(
        {str(path): path.read_text(encoding="utf-8").splitlines() for path in paths}
    )


def prepare(
    settings: Settings, say: Callable[[str], None], *, registry: Registry | None = None
) -> None:
    """Bring everything to the state in which events can be sent and folded.

    Args:
        settings: where Kafka and ClickHouse are.
        say: is told each thing that was done.
        registry: the units to load; by default those that come with Pravah, and only if none were loaded before.
    """
    create_topics(settings.kafka)
    identity, partitions = identify(settings.kafka)
    schema = Schema(settings.clickhouse.database, settings.clickhouse.cluster)
    with connect(settings.clickhouse, "writer", database="default") as client:
        for step in migrate(client, schema):
            say(f"schema: {step}")
    with connect(settings.clickhouse, "writer") as client:
        check_log(client, topic=identity, partitions=partitions)
        load_metrics(client, schema, default_dictionary())
        plan = default_plan()
        if loaded_fingerprint(client, plan.state) is None:
            load_plan(
                client, schema, plan, author="pravah", reason="the plan that comes with Pravah"
            )
            say(f"plan of {plan.state}: {len(plan.milestones)} milestones")
        if registry is None and get_fact(client, REGISTRY) is not None:
            return
    registry = registry or read_registry_files(reference.registry_files())
    install_registry(settings, registry)
    say(f"registry: {len(registry):,} units")


def install_registry(settings: Settings, registry: Registry) -> int:
    """Put a checked registry into ClickHouse, where readers look, and into the topic `units`, where workers look.

    Returns:
        How many entries of the topic changed.
    """
    with connect(settings.clickhouse, "writer") as client:
        load_registry(
            client, Schema(settings.clickhouse.database, settings.clickhouse.cluster), registry
        )
        changed = publish_registry(settings.kafka, registry)
        set_fact(client, REGISTRY, registry.fingerprint())
    return changed
