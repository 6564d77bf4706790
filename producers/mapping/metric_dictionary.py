"""The metric dictionary that comes with Pravah. Tallies are checked by it before they are sent."""

from functools import cache

import reference
from schemas.metrics import MetricDictionary


@cache
def default_dictionary() -> MetricDictionary:
    """The metric dictionary that comes with Pravah, read once."""
    return MetricDictionary.from_toml(reference.metrics_file().read_text(encoding="utf-8"))
