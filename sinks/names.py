"""Names of metrics and milestones in Hindi and English, by their keys."""

from typing import NamedTuple

from clickhouse_driver import Client


class BothNames(NamedTuple):
    """A name in both languages."""

    hi: str
    en: str


def metric_names(client: Client) -> dict[str, BothNames]:
    """The names of all metrics of the metric dictionary."""
    rows = client.execute("SELECT metric, name_hi, name_en FROM metrics")
    return {metric: BothNames(*names) for metric, *names in rows}


def milestone_names(client: Client) -> dict[str, BothNames]:
    """The names of all milestones of the plans in force; of several with one key, the first."""
    rows = client.execute(
        "SELECT milestone, name_hi, name_en FROM milestones ORDER BY plan DESC, position DESC"
    )
    return {milestone: BothNames(*names) for milestone, *names in rows}
