"""A believable campaign: what field tools would deliver over a span of days, reproducible by its seed.

Pure: no clock, no files, no network. The deliveries follow the plan's deadlines with stragglers, a weekly and a daily rhythm, units of different size and
discipline, and all that goes wrong in the field: repeats, corrections, retractions, late and broken deliveries, records under a wrong key.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from math import exp
from random import Random
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pravah.days import KOLKATA_OFFSET_SECONDS, LAST_DAY, date_of, day_of
from pravah.events import Kind
from pravah.units import routing_key
from producers.mapping.delivery_ids import derive_event_id
from producers.simulator.corruption import BREAKAGES, Surroundings
from producers.simulator.payloads import Data, Details
from producers.simulator.schedule import HOURS, Act, Agenda
from producers.simulator.units import Territory, Tool
from schemas.plan import Plan, Value
from schemas.registry import Registry

Share = Annotated[float, Field(ge=0, le=0.5)]


class SimulationOptions(BaseModel):
    """What to simulate. Shares are of all deliveries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 1
    state: str | None = Field(
        default="CG", description="code of the state whose units report; all units if None"
    )
    first: date = Field(
        default=date(2022, 2, 1), description="first day (Asia/Kolkata) on which something occurs"
    )
    last: date = Field(
        default=date(2022, 7, 31), description="last such day; deliveries may come weeks later"
    )
    begin: AwareDatetime | None = Field(
        default=None, description="on the first day, nothing occurs before this instant"
    )
    events: int = Field(
        default=200_000, ge=1, description="deliveries of all sorts, within 2 % from 1,000 on"
    )
    repeats: Share = Field(default=0.05, description="the same bytes again, minutes to days later")
    corrections: Share = Field(
        default=0.03,
        description="a higher version with another amount, day, unit or classification",
    )
    retractions: Share = Field(default=0.01, description="taken back; some are reported again")
    broken: Share = Field(default=0.01, description="no events, or not admissible")
    late: Share = Field(
        default=0.02, description="first delivered two to six weeks after they occurred"
    )
    wrong_key: Share = Field(default=0.002, description="under a key that is not the unit's")
    checks: Share = Field(
        default=0.02, description="a higher version after a back-check: verified, or rejected"
    )
    silent: Share = Field(default=0.05, description="of the booths: never report")
    steady: bool = Field(
        default=False,
        description="for a live show at any hour: no rhythm of hours and weekdays, every tool is online",
    )

    @model_validator(mode="after")
    def _possible(self) -> "SimulationOptions":
        if self.last < self.first:
            msg = f"the last day, {self.last}, lies before the first, {self.first}"
            raise ValueError(msg)
        if self.first < date(2000, 1, 1) or day_of(self.last) > LAST_DAY:
            msg = f"days must lie between 2000-01-01 and {date_of(LAST_DAY)}"
            raise ValueError(msg)
        if (
            self.begin is not None
            and not 0 <= self.begin.timestamp() - _midnight(day_of(self.first)) < 86_400
        ):
            msg = f"begin must lie on the first day, {self.first} (Asia/Kolkata)"
            raise ValueError(msg)
        if self.repeats + self.corrections + self.retractions + self.broken + self.checks > 0.8:
            msg = "repeats, corrections, retractions, broken and checks together must leave at least 20 % for first reports"
            raise ValueError(msg)
        return self


Sort = Literal["report", "observation", "correction", "retraction", "check", "repeat", "broken"]
"""What a delivery is; an observation is a later look at something that lasts."""


class Delivery(NamedTuple):
    """One record as a field tool's server would send it."""

    key: str | None
    value: bytes | None
    sent_at: datetime
    """UTC; deliveries come in this order."""
    sort: Sort


def simulate(registry: Registry, plan: Plan, options: SimulationOptions) -> Iterator[Delivery]:
    """All deliveries of a campaign, in the order of `sent_at`; equal arguments give equal bytes.

    Memory holds the units, the plan's acts and what is still to be delivered: some 500 MB for a million events in a state.

    Raises:
        ValueError: the registry has no unit of the state.
    """
    return _Simulation(registry, plan, options).deliveries()


_DAY = 86_400
_SLICE = 300
"""Seconds of campaign that are made up at a time."""
_ONLINE = 2.0
"""Median minutes until delivery where there is a network."""
_WEEKDAYS = (1.0, 0.92, 0.92, 0.98, 1.05, 1.3, 1.5)
"""Monday to Sunday: meetings are held when people are off work."""
_LASTING: frozenset[Kind] = frozenset({"messaging_group", "committee_formed", "incharge_appointed"})
_REMEMBERED = 200_000
"""Lasting things that may be observed again; beyond that some are forgotten."""
_OBSERVED_AGAIN = 0.1
"""Share of the reports besides the plan that look again at something that lasts."""


def _midnight(day: int) -> int:
    return day * _DAY - KOLKATA_OFFSET_SECONDS


def _day(second: int) -> int:
    return (second + KOLKATA_OFFSET_SECONDS) // _DAY


@lru_cache(maxsize=10_000)
def _calendar(day: int) -> str:
    return date_of(day).isoformat()


def _rfc_3339(second: int, tool: Tool) -> str:
    """As different tools write it: with milliseconds, in UTC, or plainly in Indian time."""
    utc = tool.prefix in {"rapidpro", "glific", "commcare"}
    day, rest = divmod(second if utc else second + KOLKATA_OFFSET_SECONDS, _DAY)
    minutes, seconds = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = ".000" if tool.prefix in {"kobo", "odk"} else ""
    return (
        f"{_calendar(day)}T{hours:02}:{minutes:02}:{seconds:02}{fraction}{'Z' if utc else '+05:30'}"
    )


class _Quota:
    """Hits so often that its share is met exactly in the long run and within one or two at any time, yet at random places."""

    def __init__(self, rng: Random, rate: float) -> None:
        self._random, self._rate, self.due = rng.random, rate, 0.0

    def hit(self) -> bool:
        self.due += self._rate
        if self._random() < self.due:
            self.due -= 1
            return True
        return False

    def take(self) -> bool:
        """One more, if one more does not lead too far ahead."""
        if self._rate and self.due > -3:
            self.due -= 1
            return True
        return False


@dataclass(slots=True)
class _Entity:
    """What reports are about, as last told."""

    name: str
    unit: str
    kind: Kind
    at: int
    data: Data
    tool: Tool
    reporter: str | None
    evidence: str | None
    named: bool
    """False: its first delivery leaves `entity` out, so its `event_id` is its name."""
    version: int = 1
    gone: bool = False


class _Simulation:
    def __init__(self, registry: Registry, plan: Plan, options: SimulationOptions) -> None:
        self._options = options
        # other options must give other entities too, or two simulations on one system would contradict each other
        self._rng = rng = Random(options.model_dump_json())
        self._territory = Territory(registry, options.state, rng, options.silent)
        self._details = Details(rng)
        self._first, self._last = day_of(options.first), day_of(options.last)
        self._begin = (
            _midnight(self._first) if options.begin is None else int(options.begin.timestamp())
        )
        self._end = _midnight(self._last + 1)
        self._deadlines = [milestone.deadline_day for milestone in plan.milestones]

        extra = (
            options.repeats
            + options.corrections
            + options.retractions
            + options.broken
            + options.checks
        )
        self._primaries = max(1, round(options.events * (1 - extra)))
        per_primary = options.events / self._primaries
        self._corrections = _Quota(rng, options.corrections * per_primary)
        self._retractions = _Quota(rng, options.retractions * per_primary)
        self._checks = _Quota(rng, options.checks * per_primary)
        self._broken = _Quota(rng, options.broken * per_primary)
        self._late = _Quota(rng, options.late * per_primary)
        good = 1 - options.repeats - options.broken
        self._repeats = _Quota(rng, options.repeats / good)
        self._wrong_keys = _Quota(rng, options.wrong_key / good)

        self._acts = Agenda(self._territory, plan, rng).acts(
            self._first, self._last, self._primaries // 2
        )
        self._acts = [act for act in self._acts if act.second >= self._begin]
        units = self._territory.units
        self._passing = [
            code
            for code, unit in units.items()
            if not unit.first <= self._first <= self._last <= unit.last
        ]
        state = next(iter(units))[:2]
        invented = (
            f"{state}-AC999",
            f"{state}-AC999-B0001",
            f"{state}-D-XXX",
            f"{state}-V-XXX",
            "ZZ",
        )
        self._unknown = tuple(code for code in invented if code not in registry.units)
        self._breakages: list[str] = []
        self._lasting: list[_Entity] = []
        self._volunteers: dict[str, _Entity] = {}
        self._waiting: list[tuple[int, int, str | None, bytes | None, Sort]] = []
        self._number = 0

    # --- time -----------------------------------------------------------------------------------------------------------------------------------------

    def deliveries(self) -> Iterator[Delivery]:
        acts = iter(self._acts)
        act = next(acts, None)
        changes = self._territory.changes(self._first, self._last)
        change: int | None = next(changes)
        for start, end, count in self._slices(self._primaries - len(self._acts)):
            if change is not None and _day(start) >= change:
                self._reporting = self._territory.reporting(change)
                while change is not None and change <= _day(start):
                    change = next(changes, None)
            while act is not None and act.second < end:
                self._act(act)
                act = next(acts, None)
            self._ordinary(start, end, count)
            yield from self._sent_before(end)
        yield from self._sent_before(None)

    def _slices(self, count: int) -> Iterator[tuple[int, int, int]]:
        """The span in pieces of at most five minutes: start, end, how many of `count` reports fall into it."""
        aligned = (
            self._begin - self._begin % _SLICE + _SLICE
        )  # midnight in Asia/Kolkata is a multiple of five minutes, so no piece crosses it
        bounds = [self._begin, *range(aligned, self._end, _SLICE), self._end]
        intensity = [self._intensity(day) for day in range(self._first, self._last + 1)]
        running = [0.0]
        for start, end in pairwise(bounds):
            day, rest = divmod(start + KOLKATA_OFFSET_SECONDS, _DAY)
            hour = 1.0 if self._options.steady else HOURS[rest // 3_600]
            running.append(running[-1] + (end - start) * intensity[day - self._first] * hour)
        for (start, end), (before, after) in zip(pairwise(bounds), pairwise(running), strict=True):
            yield (
                start,
                end,
                int(count * (after / running[-1])) - int(count * (before / running[-1])),
            )

    def _intensity(self, day: int) -> float:
        """How much is reported on a day: more at weekends and around deadlines, and growing over the campaign."""
        if self._options.steady:
            return 1.0
        growth = 0.7 + 0.6 * (day - self._first) / max(1, self._last - self._first)
        deadlines = sum(exp(-(((deadline - day) / 5) ** 2)) for deadline in self._deadlines)
        return _WEEKDAYS[(day + 3) % 7] * (
            growth + 0.4 * deadlines
        )  # day 0, 1970-01-01, was a Thursday

    def _sent_before(self, end: int | None) -> Iterator[Delivery]:
        waiting = self._waiting
        while waiting and (end is None or waiting[0][0] < end):
            second, _, key, value, sort = heapq.heappop(waiting)
            yield Delivery(key, value, _instant(second), sort)

    # --- what happens ---------------------------------------------------------------------------------------------------------------------------------

    def _act(self, act: Act) -> None:
        self._report(act.second, act.unit, act.kind, act.where, act.trained)

    def _ordinary(self, start: int, end: int, count: int) -> None:
        """Reports besides the plan."""
        if not count:
            return
        random, reporting = self._rng.random, self._reporting
        for unit in self._rng.choices(reporting.codes, cum_weights=reporting.cumulative, k=count):
            at = start + int(random() * (end - start))
            if random() < _OBSERVED_AGAIN and self._observe(at):
                continue
            kind = self._details.kind(self._territory.units[unit].level)
            trained: tuple[str, ...] = ()
            if kind == "training_held" and random() < 0.7:
                below = self._territory.children(unit, _day(at))
                trained = tuple(self._rng.sample(below, min(len(below), 1 + int(random() * 30))))
            self._report(at, unit, kind, {}, trained)

    def _observe(self, at: int) -> bool:
        """Look again at something that lasts; False if the one drawn has ended or its unit has closed."""
        if not self._lasting:
            return False
        place = int(self._rng.random() * len(self._lasting))
        entity = self._lasting[place]
        if entity.gone or entity.at >= at or not self._territory.is_open(entity.unit, _day(at)):
            self._lasting[place] = self._lasting[-1]
            self._lasting.pop()
            return False
        self._look(entity, at)
        return True

    def _look(self, entity: _Entity, at: int) -> None:
        entity.version += 1
        entity.at = at
        entity.data = self._details.observed_again(entity.kind, entity.data)
        entity.gone = entity.data.get("active") is False
        self._tell(entity, "observation")

    def _report(
        self, at: int, unit: str, kind: Kind, given: dict[str, Value], trained: tuple[str, ...]
    ) -> None:
        random = self._rng.random
        data = self._details.draw(kind, self._territory.units[unit].level, given)
        if trained:
            data["trained_units"] = list(trained)
            data["attendees"] = len(trained) + int(len(trained) * random())
        volunteers = kind == "tally" and data["metric"] == "volunteers"
        if (
            volunteers and unit in self._volunteers
        ):  # a unit counts its volunteers once, and then again and again
            known = self._volunteers[unit]
            if not known.gone and known.unit == unit and known.at < at:
                return self._look(known, at)
        entity = self._new(at, unit, kind, data)
        if volunteers:
            self._volunteers[unit] = entity
        elif kind in _LASTING and (
            kind != "incharge_appointed" or random() < 0.05
        ):  # in-charges seldom leave
            if len(self._lasting) < _REMEMBERED:
                self._lasting.append(entity)
            else:
                self._lasting[int(random() * _REMEMBERED)] = entity
        return self._tell(entity, "report")

    def _new(self, at: int, unit: str, kind: Kind, data: Data) -> _Entity:
        tool, bits, random = (
            self._territory.habits[unit].tool,
            self._rng.getrandbits(128),
            self._rng.random,
        )
        name = (
            f"{tool.prefix}:{unit[:2].lower()}-{1 + (bits & 1)}:{kind}:{UUID(int=bits, version=4)}"
        )
        named = tool.prefix != "script"
        return _Entity(
            name=name if named else str(derive_event_id(name, 1)),
            unit=unit,
            kind=kind,
            at=at,
            data=data,
            tool=tool,
            reporter=self._details.hash() if random() < 0.3 else None,
            evidence=f"https://media.example.org/{bits:032x}.jpg" if random() < 0.1 else None,
            named=named,
        )

    # --- the life of a report -------------------------------------------------------------------------------------------------------------------------

    def _tell(self, entity: _Entity, sort: Sort) -> None:
        """Deliver what an entity now is, and what becomes of it."""
        delay = (
            int(_DAY * self._rng.uniform(14.0, 42.0))
            if self._late.hit()
            else self._sync(entity.tool)
        )
        at = entity.at  # a correction may change it
        sent = at + delay
        self._deliver(entity, sent, sort)
        if self._corrections.hit():
            sent = self._correct(entity, sent)
        if self._checks.hit():
            sent += self._within(5 * 1_440, days=20)
            entity.version += 1
            self._deliver(
                entity,
                sent,
                "check",
                verification="verified" if self._rng.random() < 0.85 else "rejected",
            )
        if self._retractions.hit():
            self._retract(entity, sent)
        if self._broken.hit():
            self._break(entity, at)

    def _correct(self, entity: _Entity, sent: int) -> int:
        chance = self._rng.random()
        if chance < 0.06 and self._move(entity, sent):
            return sent
        self._amend(entity)
        sent += self._within(1_440, days=30)
        if (
            chance > 0.85 and self._corrections.take()
        ):  # two corrections, of which the later one arrives first
            earlier = self._record(entity, sent + self._within(600, days=5), "correction")
            self._amend(entity)
            self._deliver(entity, sent, "correction")
            self._send(*earlier)
            return max(sent, earlier[0])
        self._deliver(entity, sent, "correction")
        return sent

    def _amend(self, entity: _Entity) -> None:
        entity.version += 1
        chance = self._rng.random()
        tied = "trained_units" in entity.data  # these were below the unit on that day
        if chance < 0.15 and not tied:
            at = entity.at - _DAY * self._rng.randint(1, 4)
            if at >= self._begin and self._territory.is_open(entity.unit, _day(at)):
                entity.at = at
                return
        elif chance < 0.3 and not tied and self._territory.units[entity.unit].level == "booth":
            booths = [
                code
                for code in self._territory.children(routing_key(entity.unit), _day(entity.at))
                if code != entity.unit
            ]
            if booths:
                entity.unit = self._rng.choice(booths)
                return
        if chance < 0.4:
            entity.data = self._details.reclassified(entity.kind, entity.data)
        else:
            entity.data = self._details.amended(entity.kind, entity.data)

    def _move(self, entity: _Entity, sent: int) -> bool:
        """Correct the unit to one with another routing key: a retraction under the old key, a report under the new one."""
        level = self._territory.units[entity.unit].level
        for unit in self._rng.choices(
            self._reporting.codes, cum_weights=self._reporting.cumulative, k=10
        ):
            other = self._territory.units[unit].level == level and routing_key(unit) != routing_key(
                entity.unit
            )
            if (
                other
                and self._territory.is_open(unit, _day(entity.at))
                and self._retractions.take()
            ):
                sent += self._within(1_440, days=30)
                entity.version += 1
                self._deliver(entity, sent, "retraction", op="retract")
                entity.version += 1
                entity.unit, entity.gone = unit, True
                entity.data = {
                    name: value for name, value in entity.data.items() if name != "trained_units"
                }
                self._deliver(entity, sent + int(self._rng.random() * 3), "correction")
                return True
        return False

    def _retract(self, entity: _Entity, sent: int) -> None:
        sent += self._within(1_000, days=15)
        entity.version += 1
        self._deliver(entity, sent, "retraction", op="retract")
        if self._rng.random() < 0.25 and self._corrections.take():
            entity.version += 1
            self._deliver(entity, sent + self._within(2_000, days=15), "correction")
        else:
            entity.gone = True

    def _sync(self, tool: Tool) -> int:
        """Seconds until a tool has delivered."""
        return self._within(
            min(tool.median_minutes, _ONLINE) if self._options.steady else tool.median_minutes,
            days=10,
        )

    def _within(self, median_minutes: float, days: int) -> int:
        """Seconds of a delay, lognormal with that median."""
        return int(min(60 * median_minutes * self._rng.lognormvariate(0, 1.1), days * _DAY))

    # --- sending --------------------------------------------------------------------------------------------------------------------------------------

    def _deliver(
        self,
        entity: _Entity,
        sent: int,
        sort: Sort,
        *,
        op: str = "report",
        verification: str | None = None,
    ) -> None:
        self._send(*self._record(entity, sent, sort, op=op, verification=verification))

    def _record(
        self,
        entity: _Entity,
        sent: int,
        sort: Sort,
        *,
        op: str = "report",
        verification: str | None = None,
    ) -> tuple[int, str, bytes, Sort]:
        return (
            sent,
            routing_key(entity.unit),
            orjson.dumps(self._event(entity, sent, op, verification)),
            sort,
        )

    def _event(self, entity: _Entity, sent: int, op: str, verification: str | None) -> Data:
        random, tool, version = self._rng.random, entity.tool, entity.version
        event: Data = {
            "event_id": str(derive_event_id(entity.name, version))
            if entity.named or version > 1
            else entity.name
        }
        if entity.named or version > 1:
            event["entity"] = entity.name
            event["version"] = version
        if op != "report" or random() < 0.3:  # some tools write defaults out
            event["op"] = op
        event["unit"] = entity.unit
        event["kind"] = entity.kind
        event["occurred_at"] = _rfc_3339(entity.at, tool)
        if random() < 0.8:
            event["reported_at"] = _rfc_3339(max(entity.at, sent - int(random() * 90)), tool)
        event["source"] = {
            "tool": tool.name,
            "producer": f"{tool.prefix}:{entity.unit[:2].lower()}-1",
        }
        if entity.reporter:
            event["reporter"] = entity.reporter
        if entity.evidence:
            event["evidence"] = entity.evidence
        if verification or random() < 0.05:
            event["verification"] = verification or "unverified"
        if op == "report" or random() < 0.5:
            event["data"] = entity.data
        return event

    def _send(self, sent: int, key: str, value: bytes, sort: Sort) -> None:
        self._push(sent, self._mistaken(key) if self._wrong_keys.hit() else key, value, sort)
        if self._repeats.hit():
            self._push(
                sent + 1 + self._within(25 if self._rng.random() < 0.7 else 2_000, days=9),
                key,
                value,
                "repeat",
            )

    def _push(self, sent: int, key: str | None, value: bytes | None, sort: Sort) -> None:
        self._number += 1
        heapq.heappush(self._waiting, (sent, self._number, key, value, sort))

    def _mistaken(self, key: str) -> str | None:
        """No key, or that of another unit."""
        if self._rng.random() < 0.2:
            return None
        others = (routing_key(code) for code in self._rng.choices(self._reporting.codes, k=5))
        return next((other for other in others if other != key), None)

    # --- what is broken -------------------------------------------------------------------------------------------------------------------------------

    def _break(self, entity: _Entity, at: int) -> None:
        """Send something broken, made from an entity, about a time; every sort comes up before one comes again."""
        if not self._breakages:
            self._breakages = self._rng.sample(list(BREAKAGES), len(BREAKAGES))
        sent = at + self._sync(entity.tool)
        name = f"{entity.tool.prefix}:broken:{self._rng.getrandbits(64):016x}"
        whole = {
            **self._event(entity, sent, "report", None),
            "event_id": str(derive_event_id(name, 1)),
            "entity": name,
            "version": 1,
        }
        value = BREAKAGES[self._breakages.pop()](whole, self._rng, self._around(entity.at))
        keyless = (
            value is not None and self._rng.random() < 0.2
        )  # Kafka takes no record without both
        self._push(sent, None if keyless else routing_key(entity.unit), value, "broken")

    def _around(self, at: int) -> Surroundings:
        day = _day(at)
        tried = self._rng.choices(self._passing, k=20) if self._passing else []
        return Surroundings(
            self._unknown,
            next((code for code in tried if not self._territory.is_open(code, day)), None),
        )


def _instant(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
