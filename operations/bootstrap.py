"""Make Kafka and ClickHouse ready: topics, schema, registry, metric dictionary, plan."""

from collections.abc import Callable

import reference
from operations.registry import install_registry
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from reference.defaults import default_dictionary, default_plan
from schemas.registry import Registry
from sinks.connection import connect
from sinks.deployment import REGISTRY, check_log, get_fact
from sinks.dimensions import load_metrics
from sinks.migrate import Schema, migrate
from sinks.plan import load_plan, loaded_fingerprint
from sinks.scopes import create_scoped_views
from stack.topics import create_topics, identify


def prepare(
    settings: Settings, report: Callable[[str], None], *, registry: Registry | None = None
) -> None:
    """Bring everything to the state in which events can be sent and folded. Idempotent.

    Args:
        settings: of the deployment.
        report: called with one line for each thing that was done.
        registry: the units to load; by default those that come with Pravah, and only if none were
            loaded before.

    Raises:
        sinks.deployment.LogChangedError: the figures were counted from another topic.
        operations.registry.RegistryConflictError: another registry was loaded at the same time.
        stack.StackError: the topic has another number of partitions than configured.
    """
    create_topics(settings.kafka)
    identity, partitions = identify(settings.kafka)
    schema = Schema(settings.clickhouse.database, settings.clickhouse.cluster)
    with connect(settings.clickhouse, "writer", database="default") as client:
        for step in migrate(client, schema):
            report(f"schema: {step}")
    with connect(settings.clickhouse, "writer") as client:
        if changed := create_scoped_views(client, schema, settings.clickhouse.scoped):
            report(f"accounts of units: {changed} views")
        check_log(client, topic=identity, partitions=partitions)
        load_metrics(client, schema, default_dictionary())
        plan = default_plan()
        if loaded_fingerprint(client, plan.state) is None:
            load_plan(
                client, schema, plan, author="pravah", reason="the plan that comes with Pravah"
            )
            report(f"plan of {plan.state}: {len(plan.milestones)} milestones")
        if registry is None and get_fact(client, REGISTRY) is not None:
            return
    registry = registry or read_registry_files(reference.registry_files())
    install_registry(settings, registry)
    report(f"registry: {len(registry):,} units")
