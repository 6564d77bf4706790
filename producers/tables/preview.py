"""How rows would count, for a person who checks a mapping before anything is sent."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from pravah.days import date_of, day_of_micros, instant_micros
from pravah.events import EventError
from producers.tables.importer import ImportedRow
from schemas.metrics import MetricDictionary, UnknownMetricError

_MAX_ROWS_OF_REASON = 3
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class CountedRow(NamedTuple):
    """The event of a row, as it would count."""

    number: int
    """The row's number, as a spreadsheet shows it."""
    day: date
    """In Asia/Kolkata."""
    unit: str
    kind: str
    amounts: Mapping[str, int]
    """Metric → value."""
    persons: int
    """Keyed hashes of persons that the event has."""
    entity: str


@dataclass
class RefusedRows:
    """Rows that were refused for the same reason."""

    reason: str
    """The kind, as `EventError.reason`."""
    detail: str
    """Of the first of the rows."""
    count: int = 0
    rows: list[int] = field(default_factory=list)
    """The first of them."""


@dataclass
class Preview:
    """What a dry run found."""

    dictionary: MetricDictionary
    max_rows: int
    rows: list[CountedRow] = field(default_factory=list)
    """The first rows that would count."""
    totals: Counter[str] = field(default_factory=Counter)
    """Metric → value, of all rows that would count."""
    refusals: dict[str, RefusedRows] = field(default_factory=dict)
    """By their reason without its values."""

    def add(self, number: int, imported: ImportedRow) -> None:
        """Note a row that would count.

        Raises:
            EventError: the metric dictionary does not have the metric of a tally.
        """
        event = imported.event
        if event.op != "report":
            return
        try:
            amounts = self.dictionary.amounts(event.kind, event.data)
        except UnknownMetricError as error:
            reason = "unknown_metric"
            raise EventError(reason, str(error)) from None
        self.totals.update(amounts)
        if len(self.rows) < self.max_rows:
            day = date_of(day_of_micros(instant_micros(event.occurred_at)))
            persons = getattr(event.data, "member_keys", None) or []
            is_person = hasattr(event.data, "person")
            self.rows.append(
                CountedRow(
                    number,
                    day,
                    event.unit,
                    event.kind,
                    amounts,
                    len(persons) + is_person,
                    event.entity_name,
                )
            )

    def add_refusal(self, number: int | None, reason: str, detail: str) -> None:
        """Note a row that was refused."""
        key = f"{reason}: {_NUMBER.sub('…', _QUOTED.sub('…', detail))}"
        found = self.refusals.setdefault(key, RefusedRows(reason, detail))
        found.count += 1
        if number is not None and len(found.rows) < _MAX_ROWS_OF_REASON:
            found.rows.append(number)

    def to_json(self) -> dict[str, object]:
        """Return rows, totals and refusals, as JSON has them."""
        most_frequent = sorted(self.refusals.values(), key=lambda one: -one.count)
        return {
            "rows": [{**row._asdict(), "day": row.day.isoformat()} for row in self.rows],
            "totals": dict(self.totals),
            "refusals": [
                {"reason": one.reason, "detail": one.detail, "count": one.count, "rows": one.rows}
                for one in most_frequent
            ],
        }
