"""The deliveries of an entity: its report, and corrections, checks, retractions, broken records."""

from random import Random

import orjson

from pravah.days import day_of
from pravah.units import routing_key
from producers.mapping.delivery_ids import derive_event_id
from producers.simulator.chance import Quota, draw_delay
from producers.simulator.clock import DAY_SECONDS, day_at
from producers.simulator.corruption import CORRUPTIONS, CorruptionContext
from producers.simulator.deliveries import DeliveryQueue, DeliverySort
from producers.simulator.entities import Entity
from producers.simulator.options import SimulationOptions
from producers.simulator.payloads import PayloadGenerator
from producers.simulator.units import SimulatedUnits, Tool

# Median minutes until delivery where there is a network.
_ONLINE_MINUTES = 2.0


class Revisions:
    """Delivers entities and decides what happens to them afterwards."""

    def __init__(
        self,
        units: SimulatedUnits,
        payloads: PayloadGenerator,
        queue: DeliveryQueue,
        rng: Random,
        options: SimulationOptions,
        *,
        first_reports: int,
    ) -> None:
        """Create the quotas of the options' shares.

        Args:
            units: the units that report.
            payloads: draws amended data.
            queue: takes the deliveries.
            rng: the random generator.
            options: the shares and the days.
            first_reports: expected number of calls of `report`.
        """
        self._units, self._payloads, self._queue, self._rng = units, payloads, queue, rng
        self._is_steady, self._begin = options.steady, options.begin_second
        self._unknown_units = _list_unknown_units(units)
        self._temporary_units = units.list_temporary(day_of(options.first), day_of(options.last))
        per_report = options.events / first_reports
        self._corrections = Quota(rng, options.corrections * per_report)
        self._retractions = Quota(rng, options.retractions * per_report)
        self._checks = Quota(rng, options.checks * per_report)
        self._broken = Quota(rng, options.broken * per_report)
        self._late = Quota(rng, options.late * per_report)
        self._next_corruptions: list[str] = []

    def report(self, entity: Entity, sort: DeliverySort) -> None:
        """Deliver the present state of an entity, and perhaps later versions of it."""
        delay = (
            int(DAY_SECONDS * self._rng.uniform(14.0, 42.0))
            if self._late.hit()
            else self._draw_sync_delay(entity.tool)
        )
        occurred_at = entity.occurred_at  # a correction may change it
        sent = occurred_at + delay
        self._deliver(entity, sent, sort)
        if self._corrections.hit():
            sent = self._correct(entity, sent)
        if self._checks.hit():
            sent += draw_delay(self._rng, 5 * 1_440, max_days=20)
            entity.version += 1
            verification = "verified" if self._rng.random() < 0.85 else "rejected"
            self._deliver(entity, sent, "check", verification=verification)
        if self._retractions.hit():
            self._retract(entity, sent)
        if self._broken.hit():
            self._corrupt(entity, occurred_at)

    def _correct(self, entity: Entity, sent: int) -> int:
        """Deliver a correction, at times two. Return the second of the last one."""
        chance = self._rng.random()
        if chance < 0.06 and self._move(entity, sent):
            return sent
        self._amend(entity)
        sent += draw_delay(self._rng, 1_440, max_days=30)
        if chance > 0.85 and self._corrections.take():
            # two corrections, of which the later one arrives first
            delayed = sent + draw_delay(self._rng, 600, max_days=5)
            earlier = self._make_record(entity, delayed, "correction")
            self._amend(entity)
            self._deliver(entity, sent, "correction")
            self._queue.send(*earlier)
            return max(sent, delayed)
        self._deliver(entity, sent, "correction")
        return sent

    def _amend(self, entity: Entity) -> None:
        """Raise the version and change the day, the unit, the classification or the amount."""
        entity.version += 1
        chance = self._rng.random()
        # trained units were below the unit on that day, so unit and day are fixed
        is_fixed = "trained_units" in entity.data
        if chance < 0.15 and not is_fixed:
            occurred_at = entity.occurred_at - DAY_SECONDS * self._rng.randint(1, 4)
            if occurred_at >= self._begin and self._units.is_open(entity.unit, day_at(occurred_at)):
                entity.occurred_at = occurred_at
                return
        elif chance < 0.3 and not is_fixed and self._units.units[entity.unit].level == "booth":
            booths = [
                code
                for code in self._units.children(
                    routing_key(entity.unit), day_at(entity.occurred_at)
                )
                if code != entity.unit
            ]
            if booths:
                entity.unit = self._rng.choice(booths)
                return
        if chance < 0.4:
            entity.data = self._payloads.reclassify(entity.kind, entity.data)
        else:
            entity.data = self._payloads.amend(entity.kind, entity.data)

    def _move(self, entity: Entity, sent: int) -> bool:
        """Correct the unit to one with another routing key.

        That is a retraction under the old key and a report under the new one. Returns False if no
        unit was found.
        """
        level = self._units.units[entity.unit].level
        reporting = self._units.reporting
        for unit in self._rng.choices(reporting.codes, cum_weights=reporting.weights, k=10):
            has_other_key = self._units.units[unit].level == level and routing_key(
                unit
            ) != routing_key(entity.unit)
            if (
                has_other_key
                and self._units.is_open(unit, day_at(entity.occurred_at))
                and self._retractions.take()
            ):
                sent += draw_delay(self._rng, 1_440, max_days=30)
                entity.version += 1
                self._deliver(entity, sent, "retraction", op="retract")
                entity.version += 1
                entity.unit, entity.has_ended = unit, True
                entity.data = {
                    name: value for name, value in entity.data.items() if name != "trained_units"
                }
                self._deliver(entity, sent + int(self._rng.random() * 3), "correction")
                return True
        return False

    def _retract(self, entity: Entity, sent: int) -> None:
        """Deliver a retraction, and at times a report after it."""
        sent += draw_delay(self._rng, 1_000, max_days=15)
        entity.version += 1
        self._deliver(entity, sent, "retraction", op="retract")
        if self._rng.random() < 0.25 and self._corrections.take():
            entity.version += 1
            sent += draw_delay(self._rng, 2_000, max_days=15)
            self._deliver(entity, sent, "correction")
        else:
            entity.has_ended = True

    def _corrupt(self, entity: Entity, occurred_at: int) -> None:
        """Deliver a broken record made from an entity. All corruptions occur before one recurs."""
        if not self._next_corruptions:
            self._next_corruptions = self._rng.sample(list(CORRUPTIONS), len(CORRUPTIONS))
        sent = occurred_at + self._draw_sync_delay(entity.tool)
        name = f"{entity.tool.prefix}:broken:{self._rng.getrandbits(64):016x}"
        event = {
            **entity.make_event(self._rng, sent),
            "event_id": str(derive_event_id(name, 1)),
            "entity": name,
            "version": 1,
        }
        corrupt = CORRUPTIONS[self._next_corruptions.pop()]
        value = corrupt(event, self._rng, self._draw_context(entity.occurred_at))
        # Kafka accepts no record without key and value
        is_keyless = value is not None and self._rng.random() < 0.2
        self._queue.push(sent, None if is_keyless else routing_key(entity.unit), value, "broken")

    def _draw_context(self, occurred_at: int) -> CorruptionContext:
        day = day_at(occurred_at)
        codes = self._rng.choices(self._temporary_units, k=20) if self._temporary_units else []
        closed = next((code for code in codes if not self._units.is_open(code, day)), None)
        return CorruptionContext(self._unknown_units, closed)

    def _draw_sync_delay(self, tool: Tool) -> int:
        """Draw the seconds until a tool delivers a report."""
        minutes = tool.median_minutes
        return draw_delay(
            self._rng, min(minutes, _ONLINE_MINUTES) if self._is_steady else minutes, max_days=10
        )

    def _deliver(
        self,
        entity: Entity,
        sent: int,
        sort: DeliverySort,
        *,
        op: str = "report",
        verification: str | None = None,
    ) -> None:
        self._queue.send(*self._make_record(entity, sent, sort, op=op, verification=verification))

    def _make_record(
        self,
        entity: Entity,
        sent: int,
        sort: DeliverySort,
        *,
        op: str = "report",
        verification: str | None = None,
    ) -> tuple[int, str, bytes, DeliverySort]:
        event = entity.make_event(self._rng, sent, op=op, verification=verification)
        return sent, routing_key(entity.unit), orjson.dumps(event), sort


def _list_unknown_units(units: SimulatedUnits) -> tuple[str, ...]:
    """Return well-formed codes that are not in the registry."""
    state = next(iter(units.units))[:2]
    codes = (f"{state}-AC999", f"{state}-AC999-B0001", f"{state}-D-XXX", f"{state}-V-XXX", "ZZ")
    return tuple(code for code in codes if code not in units.registry.units)
