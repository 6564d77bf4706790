"""The metric dictionary: the metrics, and how amounts are derived from an event's data.

A *flow* adds up over days (posts, new members). A *stock* is a level that holds from the day on
which it was observed (existing groups, committee members).
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pravah.errors import PravahError
from pravah.events import MODELS, Kind

# Amounts of one event by metric: integers, not negative.
Amounts = dict[str, int]


class Derivation(BaseModel):
    """The events that feed a metric, and the amount of each."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kind: Kind
    where: dict[str, str] = Field(default_factory=dict)
    """Fields of `data` that must have this value."""
    field: str | None = None
    """The field of `data` that has the amount; without one each event counts 1.

    An event whose optional field is missing does not report the metric.
    """


class Metric(BaseModel):
    """An entry of the dictionary."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    metric: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    type: Literal["flow", "stock"]
    unit: Annotated[str, StringConstraints(min_length=1)]
    """The unit of measurement, in English: persons, groups, posts."""
    name_en: Annotated[str, StringConstraints(min_length=1)]
    name_hi: Annotated[str, StringConstraints(min_length=1)]
    source: Derivation = Field(alias="from")


def _data_fields(kind: Kind) -> Mapping[str, Any]:
    return MODELS[kind].model_fields["data"].annotation.model_fields  # type: ignore[union-attr,no-any-return]


# Kinds whose entities are observed repeatedly and may end.
_OBSERVED = frozenset(kind for kind in MODELS if "active" in _data_fields(kind))


class MetricError(PravahError):
    """A metric dictionary cannot be used; the message lists all findings."""


class UnknownMetricError(ValueError):
    """A tally names a metric that the dictionary does not declare."""


class MetricDictionary:
    """All metrics, checked against each other and against the event models.

    Raises:
        MetricError: a metric is declared twice, names a field that the kind's data does not have,
            or is a flow of a kind that may end (`active`).
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics: dict[str, Metric] = {}
        findings = []
        for metric in metrics:
            if metric.metric in self.metrics:
                findings.append(f"{metric.metric}: declared twice")
            self.metrics[metric.metric] = metric
            findings += [f"{metric.metric}: {problem}" for problem in _problems(metric)]
        if findings:
            raise MetricError("; ".join(findings))
        self.stocks = frozenset(
            name for name, metric in self.metrics.items() if metric.type == "stock"
        )
        self._selectors = {
            kind: sorted({key for metric in self.of_kind(kind) for key in metric.source.where})
            for kind in MODELS
        }
        self._rules: dict[tuple[Kind, tuple[str, ...]], list[tuple[str, str | None]]] = {}

    def of_kind(self, kind: Kind) -> list[Metric]:
        """The metrics that events of a kind feed."""
        return [metric for metric in self.metrics.values() if metric.source.kind == kind]

    def selectors(self, kind: Kind) -> list[str]:
        """The fields of a kind's data on which it depends which metrics an event feeds."""
        return self._selectors[kind]

    def rules(self, kind: Kind, given: tuple[str, ...]) -> list[tuple[str, str | None]]:
        """The metrics that an event feeds whose `selectors` have some values; not for tallies.

        Returns:
            Each metric with the field of the data that has its amount; None if it counts 1.
        """
        rules = self._rules.get((kind, given))
        if rules is None:
            where = dict(zip(self._selectors[kind], given, strict=True)).items()
            rules = [
                (m.metric, m.source.field)
                for m in self.of_kind(kind)
                if m.source.where.items() <= where
            ]
            self._rules[kind, given] = rules
        return rules

    @staticmethod
    def is_observed(kind: Kind) -> bool:
        """Whether events of a kind are observations of something that may end (`active`)."""
        return kind in _OBSERVED

    @classmethod
    def from_toml(cls, text: str) -> "MetricDictionary":
        """Read the dictionary's file format (`reference/metrics.toml`).

        Raises:
            MetricError: with all findings.
        """
        try:
            entries = tomllib.loads(text).get("metric", [])
        except tomllib.TOMLDecodeError as error:
            raise MetricError(str(error)) from error
        metrics, findings = [], []
        for number, entry in enumerate(entries, start=1):
            try:
                metrics.append(Metric.model_validate(entry))
            except ValidationError as error:
                findings += [
                    f"metric {number} ({entry.get('metric', '?')}): "
                    f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
                    for item in error.errors()
                ]
        if findings:
            raise MetricError("; ".join(findings))
        return cls(metrics)

    def amounts(self, kind: Kind, data: Any) -> Amounts:
        """Derive the amounts of one report, by metric.

        An observation of a stock that is not `active` has the amount 0: it ends the entity.

        Args:
            kind: the event's kind.
            data: the event's data, an instance of the kind's model.

        Raises:
            UnknownMetricError: a tally names a metric that is not declared.
        """
        if kind == "tally":
            metric = self.metrics.get(data.metric)
            if metric is None or metric.source.kind != "tally":
                declared = ", ".join(
                    sorted(
                        name for name, known in self.metrics.items() if known.source.kind == "tally"
                    )
                )
                msg = (
                    f"data.metric: {data.metric!r} is no tally metric of the metric dictionary; "
                    f"declared are: {declared}"
                )
                raise UnknownMetricError(msg)
            return {data.metric: data.value}
        active = data.active if kind in _OBSERVED else True
        amounts: Amounts = {}
        for name, field in self.rules(
            kind, tuple([getattr(data, key) for key in self._selectors[kind]])
        ):
            amount = 1 if field is None else getattr(data, field)
            if amount is not None:
                amounts[name] = amount if active else 0
        return amounts


def _problems(metric: Metric) -> Iterable[str]:
    source = metric.source
    fields = _data_fields(source.kind)
    if source.kind == "tally":
        if source.where or source.field:
            yield (
                "a tally metric takes neither `where` nor `field`: "
                "its events name it and carry the value"
            )
        return
    for name in (*source.where, *([source.field] if source.field else [])):
        if name not in fields:
            yield f"{source.kind} has no field {name!r}; it has {', '.join(fields)}"
    if source.kind in _OBSERVED and metric.type == "flow":
        yield f"{source.kind} is observed as a state (it has `active`): its metrics are stocks"
