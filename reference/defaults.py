"""The metric dictionary and the plan that come with Pravah, parsed."""

from functools import cache

import reference
from schemas.metrics import MetricDictionary
from schemas.plan import Plan


@cache
def default_dictionary() -> MetricDictionary:
    """The metric dictionary that comes with Pravah, read once."""
    return MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))


def default_plan() -> Plan:
    """The plan that comes with Pravah."""
    return Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
