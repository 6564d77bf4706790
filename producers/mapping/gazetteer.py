"""Look-up of units by code, by alias, or by name within the units above them.

A text must match exactly after normalisation. Similar names are suggested in the error and never
used. An alias file is CSV with the columns `alias,unit`: the name of a unit in a form's choices or
in people's mouths, and its code. Pure, except `read_aliases`.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz, process

from pravah.days import date_of
from pravah.units import RANK, Level, state_of
from producers.mapping.text import normalise_text, to_ascii_digits
from producers.mapping.unit_spelling import (
    CodeSpelling,
    is_number,
    make_suffix,
    read_code,
    read_name,
)
from schemas.registry import Finding, Registry, RegistryError, Unit
from schemas.unit_names import normalise_name

LookupKey = Literal["code", "alias", "name"]

ALIAS_COLUMNS = ["alias", "unit"]
_MAX_SUGGESTIONS = 3
# Similarity that a suggestion needs, 0 to 100.
_MIN_SIMILARITY = 75.0
_MAX_QUOTED_LENGTH = 60


class UnitError(ValueError):
    """A text that names no unit, or more than one; with the text and suggestions."""


class Gazetteer:
    """Finds units of one registry. Thread-safe."""

    def __init__(
        self, registry: Registry, aliases: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        """Create a gazetteer.

        Args:
            registry: the units.
            aliases: file name → lines of an alias file.

        Raises:
            RegistryError: with all findings of the alias files: a wrong header, an unknown unit, an
                empty alias, one alias for two units.
        """
        self.registry = registry
        self._units = registry.units
        self._aliases: dict[str, str] = {}
        findings = [
            finding
            for name, lines in (aliases or {}).items()
            for finding in self._add_aliases(name, lines)
        ]
        if findings:
            raise RegistryError(findings)

    def find(
        self,
        text: str,
        day: int,
        *,
        by: LookupKey = "code",
        level: Level | None = None,
        within: Sequence[str] = (),
    ) -> str:
        """Return the code of the unit that a text names and that is open on a day.

        Args:
            text: a code, an alias, or a name in English or Hindi.
            day: the day's number, see `pravah.days`.
            by: which of the three the text is. By name, a text may also be an alias or a code; and
                with a level, a number, as in `Booth No. 17` and `084-Narayanpur`.
            level: with a name, the level of the unit.
            within: codes of units that are above it on that day.

        Raises:
            UnitError: the text names no unit, several, or one that is not open.
        """
        text = normalise_text(text)
        if by == "name":
            return self._find_name(text, day, level, within)
        code = self._find_code(text, within) if by == "code" else self._find_alias(text)
        self._require_open(code, day)
        if not self._is_within(code, day, within):
            msg = f"{code} is not at or below {', '.join(within)} on {date_of(day)} (Asia/Kolkata)"
            raise UnitError(msg)
        return code

    def find_at_level(self, text: str, day: int, level: Level, within: Sequence[str] = ()) -> str:
        """Return the code of the unit of a level that a text names by code, alias, name or number.

        Raises:
            UnitError: the text names no such unit, several, or one that is not open.
        """
        return self._find_name(normalise_text(text), day, level, within)

    def complete_code(self, text: str, within: Sequence[str] = ()) -> str | None:
        """Return the code that a text spells, with the zeros and the state that are missing.

        Args:
            text: such as `ac84-b17`.
            within: codes of units above it.

        Returns:
            A code, which may not be in the registry; None if the text spells none.

        Raises:
            UnitError: units of several states have the code.
        """
        spelling = read_code(text)
        if not isinstance(spelling, CodeSpelling):
            return spelling
        states = {state for above in within if (state := state_of(above))} or self._states
        codes = [code for state in states if (code := spelling.complete(state)) in self._units]
        if len(codes) > 1:
            raise self._make_several_error(text, codes, "the code")
        return codes[0] if codes else None

    def _find_code(self, text: str, within: Sequence[str]) -> str:
        code = self.complete_code(text, within)
        if code is None or code not in self._units:
            hint = "" if code else self._hint_at_names(text)
            msg = f"{redact(text)} is not in the registry{hint}"
            raise UnitError(msg)
        return code

    def _hint_at_names(self, text: str) -> str:
        """Return a hint on a text that is no code, to follow the reason, or nothing."""
        if units := self._by_name.get(normalise_name(text)):
            return f"; it is the name of {_format_unit(units[0])}: say by = 'name' in the mapping"
        if is_number(text):
            return (
                "; a number alone needs by = 'name' in the mapping, with its level and the field "
                "of the unit above it"
            )
        return ""

    def _find_alias(self, text: str) -> str:
        code = self._aliases.get(normalise_name(text))
        if code is None:
            similar = process.extract(
                normalise_name(text),
                self._aliases.keys(),
                scorer=fuzz.ratio,
                limit=_MAX_SUGGESTIONS,
                score_cutoff=_MIN_SIMILARITY,
            )
            suggestions = [f"{alias} ({self._aliases[alias]})" for alias, _, _ in similar]
            msg = (
                f"{redact(text)} is in no alias file; "
                f"add a line alias,unit{_format_suggestions(suggestions)}"
            )
            raise UnitError(msg)
        return code

    def _require_open(self, code: str, day: int) -> str:
        if not self.registry.is_open(code, day):
            msg = f"{code} does not exist on {date_of(day)} (Asia/Kolkata)"
            raise UnitError(msg)
        return code

    def _find_name(self, text: str, day: int, level: Level | None, within: Sequence[str]) -> str:
        # A code names its state and assembly. The cheap test of the prefix leaves few of the
        # thousands of booths with the same name for the hierarchy.
        prefix = max((_get_prefix(ancestor) for ancestor in within), key=len, default="")

        def fit(units: Iterable[Unit]) -> set[str]:
            near = (unit for unit in units if unit.code.startswith(prefix))
            return {
                unit.code
                for unit in near
                if unit.first <= day <= unit.last
                and level in {None, unit.level}
                and self._is_within(unit.code, day, within)
            }

        code = self.complete_code(text, within)
        named = [
            self._units[one]
            for one in (code, self._aliases.get(normalise_name(text)))
            if one in self._units
        ]
        found = fit([*named, *self._by_name.get(normalise_name(text), ())])
        if not found and level is not None:
            found = self._find_spelling(text, level, fit)
        if len(found) == 1:
            return found.pop()
        if found:
            raise self._make_several_error(text, sorted(found), "the name", day)
        if named and level in {None, named[0].level} and not within:
            return self._require_open(named[0].code, day)
        suggestions = _format_suggestions(self._suggest(text, day, level, within))
        msg = (
            f"{redact(text)} is the name of no unit there on that day; "
            f"correct it, or add an alias{suggestions}"
        )
        raise UnitError(msg)

    def _find_spelling(
        self, text: str, level: Level, fit: Callable[[Iterable[Unit]], set[str]]
    ) -> set[str]:
        """Return the units of a level that a text with a number or words of the level names.

        Raises:
            UnitError: the number and the name in the text are of different units.
        """
        spelling = read_name(text, level)
        if spelling is None:
            return set()
        named = fit(self._by_name.get(spelling.name, ())) if spelling.name else set()
        if spelling.number is None:
            return named
        suffix = make_suffix(level, spelling.number)
        numbered = fit(self._by_suffix.get(suffix or "", ()))
        if not spelling.name:
            return numbered
        if named & numbered or not (named and numbered):
            return named & numbered
        units = [self._units[code] for code in sorted(numbered | named)[:_MAX_SUGGESTIONS]]
        msg = (
            f"{redact(text)} has the number of one unit and the name of another: "
            f"{', '.join(map(_format_unit, units))}; correct it"
        )
        raise UnitError(msg)

    def _make_several_error(
        self, text: str, codes: Sequence[str], what: str, day: int | None = None
    ) -> UnitError:
        shown = ", ".join(self._format_path(code, day) for code in codes[:_MAX_SUGGESTIONS])
        rest = len(codes) - _MAX_SUGGESTIONS
        more = f" and {rest} more" if rest > 0 else ""
        return UnitError(
            f"{redact(text)} is {what} of {len(codes)} units: {shown}{more}; "
            "say the unit above it, or the code"
        )

    def _format_path(self, code: str, day: int | None) -> str:
        """Return a unit with the units above it on a day."""
        names = []
        line = self.registry.line_above(code, self._units[code].first if day is None else day)
        while line is not None and line.level != "national":
            names.append(f"{line.level} {self._units[line.head].name_en}")
            line = line.rest
        return f"{self._units[code].name_en} ({', '.join([code, *names])})"

    def _is_within(self, code: str, day: int, within: Sequence[str]) -> bool:
        return all(self.registry.is_at_or_below(code, ancestor, day) for ancestor in within)

    def _suggest(
        self, text: str, day: int, level: Level | None, within: Sequence[str]
    ) -> list[str]:
        # numbers of assemblies stand before their names
        spelling = None if level is None or level == "booth" else read_name(text, level)
        similar = process.extract(
            normalise_name(text) if spelling is None else spelling.name,
            self._by_name.keys(),
            scorer=fuzz.ratio,
            limit=10 * _MAX_SUGGESTIONS,
            score_cutoff=_MIN_SIMILARITY,
        )
        units = (
            unit
            for name, _, _ in similar
            for unit in self._by_name[name]
            if unit.first <= day <= unit.last
        )
        fitting = (
            unit
            for unit in units
            if level in {None, unit.level}
            and unit.code.startswith(tuple(map(_get_prefix, within)) or "")
            and self._is_within(unit.code, day, within)
        )
        return [
            _format_unit(unit) for unit, _ in zip(fitting, range(_MAX_SUGGESTIONS), strict=False)
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[Unit]]:
        """Units by name in both languages. Built on first use, since most forms use codes."""
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.registry.units.values():
            for name in {normalise_name(unit.name_en), normalise_name(unit.name_hi)}:
                found[name].append(unit)
        return dict(found)

    @cached_property
    def _by_suffix(self) -> dict[str, list[Unit]]:
        """Assemblies and booths by the end of their code, such as `-B0017`."""
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self._units.values():
            if unit.level in {"assembly", "booth"}:
                found[unit.code[unit.code.rindex("-") :]].append(unit)
        return dict(found)

    @cached_property
    def _states(self) -> set[str]:
        return {unit.code for unit in self._units.values() if unit.level == "state"}

    def _add_aliases(self, file: str, lines: Iterable[str]) -> Iterator[Finding]:
        reader = csv.DictReader(lines)
        if reader.fieldnames != ALIAS_COLUMNS:
            yield Finding(file, 1, f"the header must be {','.join(ALIAS_COLUMNS)}")
            return
        for row in reader:
            alias = normalise_name(normalise_text(row["alias"] or ""))
            unit = normalise_text(row["unit"] or "")
            if not alias:
                yield Finding(file, reader.line_num, "alias is empty")
            elif unit not in self.registry.units:
                yield Finding(file, reader.line_num, f"unit {unit!r} is not in the registry")
            elif self._aliases.setdefault(alias, unit) != unit:
                yield Finding(
                    file,
                    reader.line_num,
                    f"alias {row['alias']!r} stands for {self._aliases[alias]} already",
                )


def iter_lookup_errors(
    by: LookupKey, level: Level | None, above: Collection[Level]
) -> Iterator[str]:
    """Yield the reasons why a mapping's look-up can find no unit, whatever a form says.

    Args:
        by: what the text is.
        level: the unit's level.
        above: levels of the units above it that are given.
    """
    if by != "name" and (level or above):
        yield "level, assembly, district and division are for by = 'name'"
    for other in above:
        if level is not None and RANK[other] >= RANK[level]:
            yield f"{other} is not above {level}: correct level, or leave {other} out"


def read_aliases(folder: Path) -> dict[str, list[str]]:
    """Read the `*.aliases.csv` of a folder: file name → lines, as `Gazetteer` expects them."""
    return {
        path.name: path.read_text(encoding="utf-8-sig").splitlines()
        for path in sorted(folder.glob("*.aliases.csv"))
    }


def redact(text: str) -> str:
    """Quote a text for a message: cut to 60 characters, long numbers removed.

    A number of seven or more digits may be a phone number.
    """
    short = re.sub(r"\d{7,}", "…", to_ascii_digits(text))
    return repr(short if len(short) <= _MAX_QUOTED_LENGTH else short[:_MAX_QUOTED_LENGTH] + "…")


def _get_prefix(ancestor: str) -> str:
    """Return how the codes of all units below a unit begin."""
    return ancestor if "-AC" in ancestor else state_of(ancestor) or ""


def _format_unit(unit: Unit) -> str:
    return f"{unit.name_en} {unit.name_hi} ({unit.code})"


def _format_suggestions(suggestions: list[str]) -> str:
    return f"; alike: {', '.join(suggestions)}" if suggestions else ""
