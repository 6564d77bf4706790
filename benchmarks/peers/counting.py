"""How the Python peers count events: fast, and without validation.

No event is validated or looked up; a correction or a retraction is one more event. Records that do
not parse are skipped. Stocks are summed like flows.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson

from pravah.days import KOLKATA, day_of
from schemas.metrics import MetricDictionary
from schemas.registry import Registry

# Amount by unit, day and metric.
Totals = dict[tuple[str, date, str], int]
# Columns of figures: level, unit, metric, day, value.
Columns = tuple[list[str], list[str], list[str], list[date], list[int]]

_IN_KOLKATA = "+05:30"


class Place(NamedTuple):
    """A unit on a day: its level, and the number of the line of ancestors above it."""

    level: str
    line: int


class _Kind(NamedTuple):
    selectors: list[str]
    """The fields of the data on which the metrics depend."""
    may_end: bool
    rules: dict[tuple[Any, ...], list[tuple[str, str | None]]]


class EventCounter:
    """Reads events and sums their amounts. Units, days and kinds are cached."""

    def __init__(self, registry: Registry, dictionary: MetricDictionary) -> None:
        self._registry, self._dictionary = registry, dictionary
        self._days: dict[str, date] = {}
        self._places: dict[tuple[str, date], Place | None] = {}
        self._line_numbers: dict[tuple[tuple[str, str], ...], int] = {}
        # level and unit of the ancestors above a unit, without the unit itself
        self.lines: list[tuple[tuple[str, str], ...]] = []
        # the units of each line, joined by `>`
        self.names: list[str] = []
        self._kinds: dict[str, _Kind] = {}
        self._tallies = {metric.metric for metric in dictionary.of_kind("tally")}

    def read(self, raw: bytes | None) -> tuple[str, date, Place, list[tuple[str, int]]] | None:
        """Parse an event.

        Returns:
            Its unit, its day in Asia/Kolkata, its place, and its amount of each metric; None if it
            is not counted.
        """
        try:
            event = orjson.loads(raw)  # type: ignore[arg-type]
            unit, data, at = event["unit"], event["data"], event["occurred_at"]
            day = self._days.get(at[:10]) if at.endswith(_IN_KOLKATA) else None
            if day is None:
                day = self._day(at)
            try:
                place = self._places[unit, day]
            except KeyError:
                place = self._place(unit, day)
            if place is None:
                return None
            if event["kind"] == "tally":
                if data["metric"] not in self._tallies:
                    return None
                amounts = [(data["metric"], data["value"])]
            else:
                kind = self._kinds.get(event["kind"]) or self._kind(event["kind"])
                given = tuple([data[name] for name in kind.selectors])
                rules = kind.rules.get(given)
                if rules is None:
                    rules = kind.rules[given] = self._dictionary.rules(event["kind"], given)
                if kind.may_end and not data.get("active", True):
                    return None
                amounts = [
                    (metric, 1 if field is None else data[field])
                    for metric, field in rules
                    if field is None or field in data
                ]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            return None
        for _, amount in amounts:
            if type(amount) is not int:
                return None
        return unit, day, place, amounts

    def add(self, raws: Iterable[bytes | None], totals: Totals) -> None:
        """Add the amounts of a batch of events to totals."""
        read = self.read
        for raw in raws:
            found = read(raw)
            if found is not None:
                unit, day, _, amounts = found
                for metric, amount in amounts:
                    key = (unit, day, metric)
                    totals[key] = totals.get(key, 0) + amount

    def fold(self, totals: Totals) -> Columns:
        """Fold totals to figures of all levels. Units with the same ancestors are summed first."""
        levels: list[str] = []
        units: list[str] = []
        metrics: list[str] = []
        days: list[date] = []
        values: list[int] = []
        by_line: defaultdict[tuple[int, date, str], int] = defaultdict(int)
        figures: defaultdict[tuple[str, str, str, date], int] = defaultdict(int)
        for (unit, day, metric), amount in totals.items():
            # not cached if the totals come from the state of an earlier process
            place = self._places.get((unit, day)) or self._place(unit, day)
            if place is None:
                continue
            level, line = place
            if level == "booth":
                levels.append(level)
                units.append(unit)
                metrics.append(metric)
                days.append(day)
                values.append(amount)
            else:  # other units may be ancestors, too
                figures[level, unit, metric, day] += amount
            by_line[line, day, metric] += amount
        for (line, day, metric), amount in by_line.items():
            for level, unit in self.lines[line]:
                figures[level, unit, metric, day] += amount
        for (level, unit, metric, day), amount in figures.items():
            levels.append(level)
            units.append(unit)
            metrics.append(metric)
            days.append(day)
            values.append(amount)
        return levels, units, metrics, days, values

    def _day(self, at: str) -> date:
        """The day of an instant; with the offset of Asia/Kolkata it is the date as written."""
        if at.endswith(_IN_KOLKATA):
            return self._days.setdefault(at[:10], date.fromisoformat(at[:10]))
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None:
            raise ValueError(at)
        return instant.astimezone(KOLKATA).date()

    def _place(self, unit: str, day: date) -> Place | None:
        spans = self._registry.ancestors(unit, day_of(day)) if unit in self._registry.units else ()
        place = None
        if spans:
            line = tuple((span.level, span.ancestor) for span in spans if span.ancestor != unit)
            number = self._line_numbers.setdefault(line, len(self.lines))
            if number == len(self.lines):
                self.lines.append(line)
                self.names.append(">".join([ancestor for _, ancestor in line]))
            place = Place(self._registry.units[unit].level, number)
        self._places[unit, day] = place
        return place

    def _kind(self, name: Any) -> _Kind:
        kind = _Kind(self._dictionary.selectors(name), self._dictionary.is_observed(name), {})
        return self._kinds.setdefault(name, kind)
