"""A believable campaign: what field tools would deliver over a span of days.

The deliveries follow the plan's deadlines with stragglers, a weekly and a daily rhythm, units of
different size and discipline, and the faults of the field: repeats, corrections, retractions, late
and broken deliveries, records under a wrong key. Pure: no clock, no files, no network.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import exp
from random import Random
from uuid import UUID

from pravah.days import KOLKATA_OFFSET_SECONDS, day_of
from pravah.events import Kind
from producers.mapping.delivery_ids import derive_event_id
from producers.simulator.chance import Quota
from producers.simulator.clock import DAY_SECONDS, day_at, midnight_of
from producers.simulator.deliveries import Delivery, DeliveryQueue
from producers.simulator.entities import Entity
from producers.simulator.options import SimulationOptions
from producers.simulator.payloads import Data, PayloadGenerator
from producers.simulator.revisions import Revisions
from producers.simulator.scenario import USUAL, Paces
from producers.simulator.schedule import HOURS, PlanSchedule
from producers.simulator.units import SimulatedUnits
from schemas.plan import Plan, Value
from schemas.registry import Registry

# Reports besides the plan are drawn for pieces of this length. Midnight in Asia/Kolkata is a
# multiple of it, so no aligned piece crosses a day.
_SLICE_SECONDS = 300
# Activity from Monday to Sunday: meetings are held when people are off work.
_WEEKDAYS = (1.0, 0.92, 0.92, 0.98, 1.05, 1.3, 1.5)
# Kinds whose entities last and may be observed again.
_LASTING_KINDS: frozenset[Kind] = frozenset(
    {"messaging_group", "committee_formed", "incharge_appointed"}
)
# Kinds that meet milestones.
_PROGRAMME_KINDS: frozenset[Kind] = frozenset(
    {"incharge_appointed", "committee_formed", "training_held", "messaging_group"}
)
# Beyond this number, new lasting entities replace old ones at random.
_MAX_LASTING = 200_000
# Share of the reports besides the plan that observe a lasting entity again.
_OBSERVATION_SHARE = 0.1


def simulate(
    registry: Registry, plan: Plan, options: SimulationOptions, paces: Paces = USUAL
) -> Iterator[Delivery]:
    """Yield all deliveries of a campaign, in the order of `sent_at`.

    Equal arguments give equal bytes. Memory holds the units, the reports of the plan and the
    deliveries that are not sent yet: some 500 MB for a million events in a state.

    Args:
        registry: the units.
        plan: its milestones give half of the reports at most.
        options: what to simulate.
        paces: districts that are ahead, behind or silent.

    Raises:
        ValueError: the registry has no unit of the state.
    """
    return _Campaign(registry, plan, options, paces).deliveries()


class _Campaign:
    def __init__(
        self, registry: Registry, plan: Plan, options: SimulationOptions, paces: Paces
    ) -> None:
        self._options = options
        # Every option is part of the seed: otherwise two simulations on one system could share
        # entities and contradict each other.
        self._rng = rng = Random(options.model_dump_json())
        self._units = SimulatedUnits(registry, options.state, rng, options.silent)
        self._payloads = PayloadGenerator(rng)
        self._first, self._last = day_of(options.first), day_of(options.last)
        self._units.set_paces(paces.silent_from, paces.laggards, self._last)
        self._begin = options.begin_second
        self._end = midnight_of(self._last + 1)
        self._deadlines = [milestone.deadline_day for milestone in plan.milestones]
        self._first_reports = max(1, round(options.events * (1 - options.extra_share)))
        scheduled = PlanSchedule(self._units, plan, rng, paces.discipline).plan_reports(
            self._first, self._last, self._first_reports // 2
        )
        self._scheduled = [report for report in scheduled if report.second >= self._begin]

        # repeats and wrong keys are drawn for every delivery but repeats and broken ones
        sent_share = 1 - options.repeats - options.broken
        self._queue = DeliveryQueue(
            self._units,
            rng,
            wrong_keys=Quota(rng, options.wrong_key / sent_share),
            repeats=Quota(rng, options.repeats / sent_share),
        )
        self._revisions = Revisions(
            self._units,
            self._payloads,
            self._queue,
            rng,
            options,
            first_reports=self._first_reports,
        )
        self._lasting: list[Entity] = []
        # unit → the entity of its tally of volunteers
        self._volunteers: dict[str, Entity] = {}

    # --- time ------------------------------------------------------------------------------------

    def deliveries(self) -> Iterator[Delivery]:
        """Yield all deliveries, in the order of `sent_at`."""
        scheduled = iter(self._scheduled)
        report = next(scheduled, None)
        changes = self._units.iter_changes(self._first, self._last)
        change: int | None = next(changes)
        for start, end, count in self._iter_slices(self._first_reports - len(self._scheduled)):
            if change is not None and day_at(start) >= change:
                self._units.set_day(change)
                while change is not None and change <= day_at(start):
                    change = next(changes, None)
            while report is not None and report.second < end:
                self._report(report.second, report.unit, report.kind, report.data, report.trained)
                report = next(scheduled, None)
            self._report_besides_plan(start, end, count)
            yield from self._queue.pop_before(end)
        yield from self._queue.pop_before(None)

    def _iter_slices(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield the span in pieces of five minutes at most: start, end, number of reports.

        Args:
            count: the number of reports in the whole span.
        """
        aligned = self._begin - self._begin % _SLICE_SECONDS + _SLICE_SECONDS
        bounds = [self._begin, *range(aligned, self._end, _SLICE_SECONDS), self._end]
        activity = [self._activity_on(day) for day in range(self._first, self._last + 1)]
        running = [0.0]
        for start, end in pairwise(bounds):
            day, rest = divmod(start + KOLKATA_OFFSET_SECONDS, DAY_SECONDS)
            hour = 1.0 if self._options.steady else HOURS[rest // 3_600]
            running.append(running[-1] + (end - start) * activity[day - self._first] * hour)
        for (start, end), (before, after) in zip(pairwise(bounds), pairwise(running), strict=True):
            yield (
                start,
                end,
                int(count * (after / running[-1])) - int(count * (before / running[-1])),
            )

    def _activity_on(self, day: int) -> float:
        """Return a day's weight: higher at weekends, near deadlines, and late in the campaign."""
        if self._options.steady:
            return 1.0
        growth = 0.7 + 0.6 * (day - self._first) / max(1, self._last - self._first)
        deadlines = sum(exp(-(((deadline - day) / 5) ** 2)) for deadline in self._deadlines)
        weekday = (day + 3) % 7  # day 0, 1970-01-01, was a Thursday
        return _WEEKDAYS[weekday] * (growth + 0.4 * deadlines)

    # --- reports ---------------------------------------------------------------------------------

    def _report_besides_plan(self, start: int, end: int, count: int) -> None:
        if not count:
            return
        random, reporting = self._rng.random, self._units.reporting
        for unit in self._rng.choices(reporting.codes, cum_weights=reporting.weights, k=count):
            second = start + int(random() * (end - start))
            if random() < _OBSERVATION_SHARE and self._observe_any(second):
                continue
            kind = self._payloads.draw_kind(self._units.units[unit].level)
            if self._units.is_laggard(unit) and kind in _PROGRAMME_KINDS:
                kind = "social_post"  # else chance would meet every milestone sooner or later
            trained: tuple[str, ...] = ()
            if kind == "training_held" and random() < 0.7:
                below = self._units.children(unit, day_at(second))
                trained = tuple(self._rng.sample(below, min(len(below), 1 + int(random() * 30))))
            self._report(second, unit, kind, {}, trained)

    def _observe_any(self, second: int) -> bool:
        """Observe a lasting entity again. False if the drawn one has ended or its unit closed."""
        if not self._lasting:
            return False
        index = int(self._rng.random() * len(self._lasting))
        entity = self._lasting[index]
        if (
            entity.has_ended
            or entity.occurred_at >= second
            or not self._units.is_open(entity.unit, day_at(second))
            or self._units.is_silent(entity.unit, day_at(second))
        ):
            self._lasting[index] = self._lasting[-1]
            self._lasting.pop()
            return False
        self._observe(entity, second)
        return True

    def _observe(self, entity: Entity, second: int) -> None:
        entity.version += 1
        entity.occurred_at = second
        entity.data = self._payloads.observe_again(entity.kind, entity.data)
        entity.has_ended = entity.data.get("active") is False
        self._revisions.report(entity, "observation")

    def _report(
        self, second: int, unit: str, kind: Kind, fixed: dict[str, Value], trained: tuple[str, ...]
    ) -> None:
        """Report something new, or observe a unit's volunteers again.

        Args:
            second: when it occurs.
            unit: the reporting unit.
            kind: the event's kind.
            fixed: fields of `data` that are not drawn.
            trained: codes of trained units.
        """
        random = self._rng.random
        data = self._payloads.draw_data(kind, self._units.units[unit].level, fixed)
        if trained:
            data["trained_units"] = list(trained)
            data["attendees"] = len(trained) + int(len(trained) * random())
        is_volunteers = kind == "tally" and data["metric"] == "volunteers"
        if is_volunteers and unit in self._volunteers:
            # a unit's number of volunteers is one entity, which is observed again and again
            known = self._volunteers[unit]
            if not known.has_ended and known.unit == unit and known.occurred_at < second:
                return self._observe(known, second)
        entity = self._make_entity(second, unit, kind, data)
        if is_volunteers:
            self._volunteers[unit] = entity
        elif kind in _LASTING_KINDS and (kind != "incharge_appointed" or random() < 0.05):
            # in-charges seldom leave
            if len(self._lasting) < _MAX_LASTING:
                self._lasting.append(entity)
            else:
                self._lasting[int(random() * _MAX_LASTING)] = entity
        return self._revisions.report(entity, "report")

    def _make_entity(self, second: int, unit: str, kind: Kind, data: Data) -> Entity:
        tool, bits = self._units.profiles[unit].tool, self._rng.getrandbits(128)
        random = self._rng.random
        state, server = unit[:2].lower(), 1 + (bits & 1)
        name = f"{tool.prefix}:{state}-{server}:{kind}:{UUID(int=bits, version=4)}"
        is_named = tool.prefix != "script"
        return Entity(
            name=name if is_named else str(derive_event_id(name, 1)),
            unit=unit,
            kind=kind,
            occurred_at=second,
            data=data,
            tool=tool,
            reporter=self._payloads.draw_hash() if random() < 0.3 else None,
            evidence=f"https://media.example.org/{bits:032x}.jpg" if random() < 0.1 else None,
            is_named=is_named,
        )
