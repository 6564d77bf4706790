"""The units of a simulated campaign: their activity, their tool, and their hierarchy."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pravah.units import RANK, Level, state_of
from schemas.registry import Registry, Unit

# Shares of the levels in the reports besides the plan.
LEVEL_SHARES: dict[Level, float] = {
    "national": 0.005,
    "state": 0.03,
    "division": 0.015,
    "district": 0.08,
    "assembly": 0.15,
    "booth": 0.72,
}


class Tool(NamedTuple):
    """A field tool."""

    name: str
    prefix: str
    median_minutes: float
    """Median delay from an occurrence to its delivery."""
    share: float
    """Share of the units that use it."""


TOOLS = (
    Tool("kobotoolbox", "kobo", 90, 0.34),
    Tool("odk", "odk", 180, 0.14),
    Tool("commcare", "commcare", 60, 0.14),
    Tool("rapidpro", "rapidpro", 3, 0.10),
    Tool("glific", "glific", 2, 0.12),
    Tool("spreadsheet", "sheet", 2_000, 0.08),
    Tool("script", "script", 5, 0.08),
)
_TOOL_WEIGHTS = list(accumulate(tool.share for tool in TOOLS))


class UnitProfile(NamedTuple):
    """How a unit reports."""

    weight: float
    """Activity among the units of its level; 0 is silent."""
    tool: Tool


class ReportingUnits(NamedTuple):
    """The units that report on a day, as `random.choices` accepts them."""

    codes: list[str]
    weights: list[float]
    """Cumulative."""


class SimulatedUnits:
    """The units of one state, or of all."""

    def __init__(self, registry: Registry, state: str | None, rng: Random, silent: float) -> None:
        """Draw a profile for every unit.

        Args:
            registry: the units.
            state: a state's code; None for the units of all states.
            rng: the random generator.
            silent: share of the booths that never report.

        Raises:
            ValueError: the registry has no unit of that state.
        """
        self.registry = registry
        self.units: dict[str, Unit] = {
            code: unit
            for code, unit in sorted(registry.units.items())
            if state is None or state_of(code) == state
        }
        if not self.units:
            msg = f"the registry has no unit of state {state!r}"
            raise ValueError(msg)
        # unit → its direct children with the first and last day below it, both inclusive
        self._children: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for code, unit in self.units.items():
            for edge in unit.parents:
                self._children[edge.parent].append((code, edge.first, edge.last))
        self.profiles = {
            code: self._draw_profile(unit, rng, silent) for code, unit in self.units.items()
        }
        self.reporting = ReportingUnits([], [])
        # unit → the first day on which it reports no more; of others none
        self._silent_from: dict[str, int] = {}
        self._laggards: set[str] = set()

    def set_paces(
        self, silent_from: Mapping[str, int], laggards: Collection[str], day: int
    ) -> None:
        """Let districts, with all that is in them on a day, fall silent or behind.

        Args:
            silent_from: district → the first day without reports.
            laggards: districts that report of the programme by its schedule alone.
            day: as of which units are in them.
        """
        for code, unit in self.units.items() if silent_from or laggards else ():
            district = code if unit.level == "district" else self.parent(code, "district", day)
            if district and district in silent_from:
                self._silent_from[code] = silent_from[district]
            if district in laggards:
                self._laggards.add(code)

    def _draw_profile(self, unit: Unit, rng: Random, silent: float) -> UnitProfile:
        """Draw activity and tool.

        Large units are more active. Within a level activity is lognormal: a few units report much,
        many report little.
        """
        is_silent = unit.level == "booth" and rng.random() < silent
        weight = (
            0.0
            if is_silent
            else (1 + len(self._children.get(unit.code, ()))) ** 0.5 * rng.lognormvariate(0, 0.7)
        )
        return UnitProfile(weight, rng.choices(TOOLS, cum_weights=_TOOL_WEIGHTS)[0])

    def is_open(self, code: str, day: int) -> bool:
        """Return whether the unit exists on a day."""
        unit = self.units.get(code)
        return unit is not None and unit.first <= day <= unit.last

    def is_silent(self, code: str, day: int) -> bool:
        """Return whether the unit has stopped reporting by a day."""
        return day >= self._silent_from.get(code, day + 1)

    def is_laggard(self, code: str) -> bool:
        """Return whether the unit reports of the programme by its schedule alone."""
        return code in self._laggards

    def list_temporary(self, first: int, last: int) -> list[str]:
        """Return the units that are not open on all days from `first` to `last`."""
        return [
            code
            for code, unit in self.units.items()
            if not unit.first <= first <= last <= unit.last
        ]

    def children(self, code: str, day: int) -> list[str]:
        """Return the units directly below a unit on a day."""
        return [
            child for child, first, last in self._children.get(code, ()) if first <= day <= last
        ]

    def parent(self, code: str, level: Level, day: int) -> str | None:
        """Return the unit's direct parent of a level on a day."""
        return next(
            (
                edge.parent
                for edge in self.units[code].parents
                if edge.first <= day <= edge.last
                and self.registry.units[edge.parent].level == level
            ),
            None,
        )

    def set_day(self, day: int) -> None:
        """Set `reporting` to the units that report on a day, with their weights."""
        total = dict.fromkeys(RANK, 0.0)
        open_units = [
            unit
            for code, unit in self.units.items()
            if unit.first <= day <= unit.last
            and self.profiles[code].weight
            and not self.is_silent(code, day)
        ]
        for unit in open_units:
            total[unit.level] += self.profiles[unit.code].weight
        weights = [
            LEVEL_SHARES[unit.level] * self.profiles[unit.code].weight / total[unit.level]
            for unit in open_units
        ]
        self.reporting = ReportingUnits(
            [unit.code for unit in open_units], list(accumulate(weights))
        )

    def iter_changes(self, first: int, last: int) -> Iterator[int]:
        """Yield `first`, then the days to `last` on which units open, closed or fall silent."""
        days = {unit.first for unit in self.units.values()} | {
            unit.last + 1 for unit in self.units.values()
        }
        days |= set(self._silent_from.values())
        yield first
        yield from sorted(day for day in days if first < day <= last)
