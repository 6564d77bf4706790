"""The oracle: computes every figure from the events that were sent, in the plainest way.

It shares no code with the roll-up: it has a hierarchy of its own, made from the CSV rows, and
rules of its own, written from the contract. Its input is the events in the log, never a table of
ClickHouse. It is slow and obvious on purpose.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

KOLKATA = ZoneInfo("Asia/Kolkata")
FIRST, LAST = date(1970, 1, 1), date(2149, 6, 6)
LEVEL_ORDER = ["national", "state", "division", "district", "assembly", "booth"]

STOCKS = {
    *("incharges", "committees", "committee_members", "whatsapp_groups", "whatsapp_group_members"),
    *("broadcast_groups", "broadcast_group_members", "volunteers"),
}

# (value, verified value)
Figure = tuple[int, int]

# (day, level, unit, metric) → figure
Figures = dict[tuple[date, str, str, str], Figure]


@dataclass
class Hierarchy:
    """Units and edges, as in the CSV rows."""

    levels: dict[str, str]
    days: dict[str, tuple[date, date]]
    edges: dict[str, list[tuple[str, date, date]]]

    @classmethod
    def read(cls, folder: Path) -> "Hierarchy":
        levels, days, edges = {}, {}, defaultdict(list)
        for path in folder.glob("*.units.csv"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                levels[row["unit"]] = row["level"]
                days[row["unit"]] = (_date(row["valid_from"], FIRST), _date(row["valid_to"], LAST))
        for path in folder.glob("*.parents.csv"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                edges[row["unit"]].append(
                    (row["parent"], _date(row["valid_from"], FIRST), _date(row["valid_to"], LAST))
                )
        return cls(levels, days, edges)

    def is_open(self, unit: str, day: date) -> bool:
        return unit in self.days and self.days[unit][0] <= day <= self.days[unit][1]

    def ancestors(self, unit: str, day: date) -> dict[str, str]:
        """Level → unit on a day, the unit itself included; empty if it is not open.

        A booth's districts and above are those of its own district; every other unit has one
        parent.
        """
        if not self.is_open(unit, day):
            return {}
        line = {self.levels[unit]: unit}
        parents = [
            parent for parent, first, last in self.edges.get(unit, []) if first <= day <= last
        ]
        if self.levels[unit] == "booth":
            line["assembly"] = next(
                parent for parent in parents if self.levels[parent] == "assembly"
            )
        upwards = min(
            parents, key=lambda parent: LEVEL_ORDER.index(self.levels[parent]), default=None
        )
        return line if upwards is None else {**self.ancestors(upwards, day), **line}

    def days_of_change(self, unit: str, day: date) -> list[date]:
        """The days after a day on which the ancestors of a unit may change."""
        found, queue, seen = set(), [unit], set()
        while queue:
            code = queue.pop()
            if code in seen:
                continue
            seen.add(code)
            first, last = self.days[code]
            spans = [(first, last), *((first, last) for _, first, last in self.edges.get(code, []))]
            for first, last in spans:
                found.update(
                    change
                    for change in (first, last + timedelta(days=1) if last < LAST else FIRST)
                    if change > day
                )
            queue += [parent for parent, _, _ in self.edges.get(code, [])]
        return sorted(found)


def _date(text: str, default: date) -> date:
    return date.fromisoformat(text) if text else default


def _amounts(event: dict) -> dict[str, int]:
    kind, data = event["kind"], event["data"]
    active = 1 if data.get("active", True) else 0
    if kind == "incharge_appointed":
        return {"incharges": active}
    if kind == "committee_formed":
        return {"committees": active, "committee_members": active * data["members"]}
    if kind == "training_held":
        return {"trainings": 1, "training_attendees": data["attendees"]}
    if kind == "messaging_group":
        name = data["group_type"]
        return {f"{name}_groups": active, f"{name}_group_members": active * data["members"]}
    if kind == "social_post":
        pairs = (
            (f"{field}_{data['platform']}", data.get(field))
            for field in ("posts", "reach", "engagements")
        )
        return {metric: amount for metric, amount in pairs if amount is not None}
    if kind == "membership":
        return {f"members_{data['mode']}": data["count"]}
    assert kind == "tally"
    return {data["metric"]: data["value"]}


def routing_key(unit: str) -> str:
    return unit.rsplit("-B", 1)[0] if unit[2:5] == "-AC" else unit


def figures(events: Iterable[dict], hierarchy: Hierarchy) -> Figures:
    """All rows that `rollups` must have for these events.

    Args:
        events: accepted events in the order of their partition's log, with or without repeats.
        hierarchy: the units.
    """
    entities: dict[tuple[str, str], dict[int, dict]] = defaultdict(dict)
    for event in events:
        entities[routing_key(event["unit"]), event.get("entity") or event["event_id"]].setdefault(
            event.get("version", 1), dict(event)
        )

    changes: dict[tuple[date, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    reported: set[tuple[date, str, str, str]] = set()

    def add(day: date, unit: str, level: str, metric: str, amount: int, verified: bool) -> None:
        cell = changes[day, level, unit, metric]
        cell[0] += amount
        cell[1] += amount if verified else 0

    for versions in entities.values():
        for event in versions.values():
            event["_day"] = datetime.fromisoformat(event["occurred_at"]).astimezone(KOLKATA).date()
            if event.get("op", "report") == "report":
                for level, unit in hierarchy.ancestors(event["unit"], event["_day"]).items():
                    reported.update(
                        (event["_day"], level, unit, metric) for metric in _amounts(event)
                    )
        highest = versions[max(versions)]
        if highest.get("op") == "retract" or highest.get("verification") == "rejected":
            continue
        verified = highest.get("verification") == "verified"
        for metric, amount in _amounts(highest).items():
            if metric not in STOCKS:
                for level, unit in hierarchy.ancestors(highest["unit"], highest["_day"]).items():
                    add(highest["_day"], unit, level, metric, amount, verified)
        retracted = max(
            (number for number, event in versions.items() if event.get("op") == "retract"),
            default=0,
        )
        observed = sorted(
            (event for number, event in versions.items() if number > retracted),
            key=lambda event: (
                datetime.fromisoformat(event["occurred_at"]),
                event.get("version", 1),
            ),
        )
        _add_stock(observed, hierarchy, lambda *cell, verified=verified: add(*cell, verified))

    rows = set(reported) | {cell for cell, amounts in changes.items() if amounts != [0, 0]}
    days: dict[tuple[str, str, str], list[date]] = defaultdict(list)
    for day, level, unit, metric in rows:
        days[level, unit, metric].append(day)
    result: Figures = {}
    for (level, unit, metric), days_with_rows in days.items():
        figure = [0, 0]
        for day in sorted(days_with_rows):
            value, verified_value = changes.get((day, level, unit, metric), (0, 0))
            figure = (
                [figure[0] + value, figure[1] + verified_value]
                if metric in STOCKS
                else [value, verified_value]
            )
            result[day, level, unit, metric] = (figure[0], figure[1])
    return result


def _add_stock(observed: list[dict], hierarchy: Hierarchy, add) -> None:
    """Add the changes of a stock's level, by day and ancestor.

    On each day on which the entity or the hierarchy changed, the change is the difference to the
    level that the ancestor had before.
    """
    if not observed or not any(
        metric in STOCKS for event in observed for metric in _amounts(event)
    ):
        return
    days = sorted(
        {event["_day"] for event in observed}
        | {d for event in observed for d in hierarchy.days_of_change(event["unit"], event["_day"])}
    )
    before: dict[tuple[str, str, str], int] = {}
    for day in days:
        current = [event for event in observed if event["_day"] <= day]
        now: dict[tuple[str, str, str], int] = {}
        if current:
            event = current[-1]
            for level, unit in hierarchy.ancestors(event["unit"], day).items():
                now.update(
                    {
                        (unit, level, metric): amount
                        for metric, amount in _amounts(event).items()
                        if metric in STOCKS
                    }
                )
        for unit, level, metric in before.keys() | now.keys():
            amount = now.get((unit, level, metric), 0) - before.get((unit, level, metric), 0)
            if amount:
                add(day, unit, level, metric, amount)
        before = now


def _is_appointment(event: dict) -> bool:
    return event["kind"] == "incharge_appointed" and event["data"]["role"] in {"incharge", "head"}


def _is_training(event: dict) -> bool:
    return event["kind"] == "training_held" and event["data"]["programme"] == "incharge"


STATES = ("done_on_time", "done_late", "overdue", "due")

# The conditions of the default plan's milestones, from the contract.
CONDITIONS = {
    "state_appointed": [
        lambda e: e["kind"] == "incharge_appointed" and e["data"]["role"] == "head",
        lambda e: e["kind"] == "committee_formed",
    ],
    "state_trained": [_is_training],
    "district_appointed": [_is_appointment],
    "district_trained": [_is_training],
    "assembly_appointed": [_is_appointment],
    "assembly_trained": [_is_training],
    "booth_appointed": [_is_appointment],
    "booth_trained": [_is_training],
    "booth_groups": [
        lambda e: e["kind"] == "messaging_group" and e["data"]["group_type"] == "whatsapp",
        lambda e: e["kind"] == "messaging_group" and e["data"]["group_type"] == "broadcast",
    ],
}

DEADLINES = {
    "state_appointed": date(2022, 2, 28),
    "state_trained": date(2022, 3, 15),
    "district_appointed": date(2022, 3, 31),
    "district_trained": date(2022, 4, 15),
    "assembly_appointed": date(2022, 4, 30),
    "assembly_trained": date(2022, 5, 15),
    "booth_appointed": date(2022, 5, 31),
    "booth_trained": date(2022, 6, 15),
    "booth_groups": date(2022, 6, 30),
}


def completion_days(events: Iterable[dict]) -> dict[tuple[str, str], date]:
    """(milestone, unit) → the first day on which all conditions had been met.

    Args:
        events: accepted events in the order of their partition's log.
    """
    entities: dict[tuple[str, str], dict[int, dict]] = defaultdict(dict)
    for event in events:
        entities[routing_key(event["unit"]), event.get("entity") or event["event_id"]].setdefault(
            event.get("version", 1), event
        )
    first: dict[tuple[str, str, int], date] = {}
    for versions in entities.values():
        highest = versions[max(versions)]
        if highest.get("op") == "retract" or highest.get("verification") == "rejected":
            continue
        retracted = max(
            (number for number, event in versions.items() if event.get("op") == "retract"),
            default=0,
        )
        # Of several versions with one time the highest counts.
        moments = {
            datetime.fromisoformat(versions[number]["occurred_at"]): versions[number]
            for number in sorted(versions)
            if number > retracted
        }
        for at, event in moments.items():
            is_stock = any(metric in STOCKS for metric in _amounts(event))
            if (not is_stock and event is not highest) or not event["data"].get("active", True):
                continue
            for milestone, conditions in CONDITIONS.items():
                trained = (
                    (event["data"].get("trained_units") or [])
                    if milestone.endswith("_trained")
                    else []
                )
                for number, is_met in enumerate(conditions):
                    if is_met(event):
                        for unit in [event["unit"], *trained]:
                            cell = (milestone, unit, number)
                            first[cell] = min(first.get(cell, LAST), at.astimezone(KOLKATA).date())
    return {
        (milestone, unit): max(
            first[milestone, unit, number] for number in range(len(CONDITIONS[milestone]))
        )
        for milestone, unit in {(milestone, unit) for milestone, unit, _ in first}
        if all((milestone, unit, number) in first for number in range(len(CONDITIONS[milestone])))
    }


def plan_status(
    completed: dict[tuple[str, str], date], hierarchy: Hierarchy, on: date
) -> dict[tuple[str, str], tuple[str, date | None]]:
    """(milestone, unit) → (state, day on which it was done), for each unit expected to have it.

    Args:
        completed: the result of `completion_days`.
        hierarchy: the units.
        on: the day of the status.
    """
    found = {}
    for milestone, deadline in DEADLINES.items():
        for unit, level in hierarchy.levels.items():
            if (
                level != milestone.partition("_")[0]
                or not unit.startswith("CG")
                or not hierarchy.is_open(unit, on)
            ):
                continue
            day = completed.get((milestone, unit))
            if day is not None and day > on:
                day = None
            if day is None:
                found[milestone, unit] = ("overdue" if on > deadline else "due", None)
            else:
                found[milestone, unit] = ("done_on_time" if day <= deadline else "done_late", day)
    return found


# A cache: (id of a hierarchy, unit, changes of the hierarchy so far) → ancestors.
_ANCESTORS: dict[tuple[int, str, frozenset], dict[str, str]] = {}


def _cached_ancestors(
    hierarchy: Hierarchy, unit: str, on: date, changed: frozenset
) -> dict[str, str]:
    """Ancestors are the same on all days between two changes of the hierarchy."""
    key = (id(hierarchy), unit, changed)
    if key not in _ANCESTORS:
        _ANCESTORS[key] = hierarchy.ancestors(unit, on)
    return _ANCESTORS[key]


def plan_progress(
    status: dict[tuple[str, str], tuple[str, date | None]], hierarchy: Hierarchy, on: date
) -> dict[tuple[str, str], dict[str, int]]:
    """(milestone, ancestor) → number of units in each of `STATES`."""
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
    spans = [span for edges in hierarchy.edges.values() for _, *span in edges] + list(
        hierarchy.days.values()
    )
    changed = frozenset(
        {
            day
            for first, last in spans
            for day in (first, last + timedelta(days=1) if last < LAST else FIRST)
            if day <= on
        }
    )
    for (milestone, unit), (state, _) in status.items():
        for ancestor in _cached_ancestors(hierarchy, unit, on, changed).values():
            found[milestone, ancestor][state] += 1
    return dict(found)
