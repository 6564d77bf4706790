"""The plan: milestones that the units of each level must reach by a deadline.

A unit has reached a milestone once each of its conditions is met by an entity that counts. A
deadline is a day and ends with that day in Asia/Kolkata: an event of that day is on time.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pravah.days import day_of
from pravah.errors import FindingsError
from pravah.events import MODELS, Kind
from pravah.units import PATTERNS, Level

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Value = str | int | bool


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Condition(_Strict):
    """An entity that a unit must have: an event of `kind` whose data matches `where`."""

    kind: Kind
    where: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    """The values that qualify, by field of `data`; all fields must match."""
    names_unit: bool = False
    """A training of another unit qualifies, too, if it names the unit in `trained_units`.

    Only for `training_held`.
    """


class Milestone(_Strict):
    """A milestone of all units of a level, with its deadline."""

    milestone: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    level: Level
    name_en: Name
    name_hi: Name
    deadline: date
    """The last day in Asia/Kolkata that is on time."""
    responsible: Name
    """Whom the control room calls when the milestone is overdue: a level and an office, such as
    `district in-charge`."""
    responsible_hi: Name
    prerequisites: tuple[str, ...] = Field(default=(), strict=False)
    """Milestones that come before this one."""
    needs: Annotated[tuple[Condition, ...], Field(min_length=1, strict=False)]

    @property
    def deadline_day(self) -> int:
        """The deadline as days since 1970-01-01; done on time is `done_day <= deadline_day`."""
        return day_of(self.deadline)


class PlanError(FindingsError):
    """A plan cannot be used. `findings` lists everything that is wrong with it."""

    subject = "the plan"


class Plan(_Strict):
    """The milestones of one state's programme, in the order of the file."""

    state: Annotated[str, StringConstraints(pattern=f"^{PATTERNS['state']}$")]
    milestones: tuple[Milestone, ...]

    def all_prerequisites(self, milestone: str) -> set[str]:
        """The prerequisites of a milestone, their prerequisites, and so on."""
        return _transitive(milestone, {one.milestone: one.prerequisites for one in self.milestones})

    def fingerprint(self) -> str:
        """16 hexadecimal digits that are equal for equal plans."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=8).hexdigest()

    @classmethod
    def from_toml(cls, text: str) -> "Plan":
        """Read the plan's file format: `state`, and a `[[milestone]]` for each milestone.

        `reference/plan-2022.toml` is an example.

        Raises:
            PlanError: with all findings: fields that are unknown, missing or of another type,
                unknown levels and kinds, milestones listed twice, prerequisites that are unknown or
                circular, conditions on fields or values that events of the kind cannot have.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PlanError([f"not TOML: {error}"]) from None
        findings = [
            f"{name}: unknown field; the plan has `state` and [[milestone]]"
            for name in content
            if name not in {"state", "milestone"}
        ]
        entries = content.get("milestone", [])
        if (
            not isinstance(entries, list)
            or not entries
            or not all(isinstance(entry, dict) for entry in entries)
        ):
            findings.append("milestone: at least one [[milestone]] is needed")
            entries = []
        milestones: list[Milestone] = []
        for number, entry in enumerate(entries, start=1):
            try:
                milestones.append(Milestone.model_validate(entry))
            except ValidationError as error:
                findings += [
                    f"milestone {number} ({entry.get('milestone', '?')}): {line}"
                    for line in _lines(error)
                ]
        findings += _problems(milestones, {str(entry.get("milestone")) for entry in entries})
        try:
            plan = cls.model_validate(
                {"state": content.get("state"), "milestones": tuple(milestones)}
            )
        except ValidationError as error:
            findings += list(_lines(error))
        if findings:
            raise PlanError(findings)
        return plan


def _lines(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        yield f"{'.'.join(map(str, item['loc']))}: {item['msg']}"


def _problems(milestones: list[Milestone], named: set[str]) -> Iterator[str]:
    """Find problems between milestones, and conditions that no event can meet.

    Args:
        milestones: the well-formed milestones.
        named: the names of all milestones, malformed ones included.
    """
    seen: set[str] = set()
    before = {milestone.milestone: milestone.prerequisites for milestone in milestones}
    for milestone in milestones:
        if milestone.milestone in seen:
            yield f"{milestone.milestone}: listed twice"
        seen.add(milestone.milestone)
        for name in milestone.prerequisites:
            if name not in named:
                yield (
                    f"{milestone.milestone}: prerequisite {name!r} is no milestone of the plan; "
                    f"there are {', '.join(sorted(named))}"
                )
        if milestone.milestone in _transitive(milestone.milestone, before):
            yield f"{milestone.milestone}: its prerequisites lead back to itself"
        for condition in milestone.needs:
            yield from (f"{milestone.milestone}: {problem}" for problem in _impossible(condition))


def _transitive(start: str, before: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    pending = list(before[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += before.get(name, ())
    return found


def _impossible(condition: Condition) -> Iterable[str]:
    if condition.names_unit and condition.kind != "training_held":
        yield f"names_unit: {condition.kind} events name no other units; only training_held does"
    model: type[BaseModel] = MODELS[condition.kind].model_fields["data"].annotation  # type: ignore[assignment]
    for name, values in condition.where.items():
        if name not in model.model_fields:
            yield (
                f"where.{name}: {condition.kind} has no such field; "
                f"it has {', '.join(model.model_fields)}"
            )
            continue
        for value in values:
            try:
                model.model_validate({name: value})
            except (
                ValidationError
            ) as error:  # errors about other fields are expected: none is given
                yield from (
                    f"where.{name}: {condition.kind} can never have {value!r}: {item['msg']}"
                    for item in error.errors()
                    if item["loc"][0] == name
                )
