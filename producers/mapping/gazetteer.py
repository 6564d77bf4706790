"""Look-up of units by code, by alias, or by name within the units above them.

A text must match exactly after normalisation. Similar names are suggested in the error and never
used. An alias file is CSV with the columns `alias,unit`: the name of a unit in a form's choices or
in people's mouths, and its code. Pure, except `read_aliases`.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz, process

from pravah.days import date_of
from pravah.units import Level, state_of
from producers.mapping.text import to_ascii_digits
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
            by: which of the three the text is.
            level: with a name, the level of the unit.
            within: with a name, codes of units that are above it on that day.

        Raises:
            UnitError: the text names no unit, several, or one that is not open.
        """
        if by == "code":
            return self._require_open(self._find_code(text), day)
        if by == "alias":
            return self._require_open(self._find_alias(text), day)
        return self._find_name(text, day, level, within)

    def find_at_level(self, text: str, day: int, level: Level) -> str:
        """Return the code of the unit of a level that a text names by code, alias or name.

        Raises:
            UnitError: the text names no such unit, several, or one that is not open.
        """
        for code in (_parse_code(text), self._aliases.get(normalise_name(text))):
            unit = self.registry.units.get(code or "")
            if unit is not None and unit.level == level:
                return self._require_open(unit.code, day)
        return self._find_name(text, day, level, ())

    def _find_code(self, text: str) -> str:
        code = _parse_code(text)
        if code not in self.registry.units:
            msg = f"{redact(text)} is not in the registry"
            raise UnitError(msg)
        return code

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
        found = [
            unit.code
            for unit in self._open_units_named(text, day)
            if level in {None, unit.level} and self._is_within(unit.code, day, within)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(
                f"{self.registry.units[code].name_en} ({code})"
                for code in sorted(found)[:_MAX_SUGGESTIONS]
            )
            rest = len(found) - _MAX_SUGGESTIONS
            more = f" and {rest} more" if rest > 0 else ""
            msg = (
                f"{redact(text)} is the name of {len(found)} units: {several}{more}; "
                "say the unit above it, or the code"
            )
            raise UnitError(msg)
        suggestions = _format_suggestions(self._suggest(text, day, level, within))
        msg = (
            f"{redact(text)} is the name of no unit there on that day; "
            f"correct it, or add an alias{suggestions}"
        )
        raise UnitError(msg)

    def _open_units_named(self, text: str, day: int) -> list[Unit]:
        return [
            unit
            for unit in self._by_name.get(normalise_name(text), ())
            if unit.first <= day <= unit.last
        ]

    def _is_within(self, code: str, day: int, within: Sequence[str]) -> bool:
        # A code names its state and assembly. The cheap test of the prefix leaves few of the
        # thousands of booths with the same name for the hierarchy.
        return all(
            code.startswith(ancestor if "-AC" in ancestor else state_of(ancestor) or "")
            for ancestor in within
        ) and all(self.registry.is_at_or_below(code, ancestor, day) for ancestor in within)

    def _suggest(
        self, text: str, day: int, level: Level | None, within: Sequence[str]
    ) -> list[str]:
        similar = process.extract(
            normalise_name(text),
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
            if level in {None, unit.level} and self._is_within(unit.code, day, within)
        )
        return [
            f"{unit.name_en} {unit.name_hi} ({unit.code})"
            for unit, _ in zip(fitting, range(_MAX_SUGGESTIONS), strict=False)
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[Unit]]:
        """Units by name in both languages. Built on first use, since most forms use codes."""
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.registry.units.values():
            for name in {normalise_name(unit.name_en), normalise_name(unit.name_hi)}:
                found[name].append(unit)
        return dict(found)

    def _add_aliases(self, file: str, lines: Iterable[str]) -> Iterator[Finding]:
        reader = csv.DictReader(lines)
        if reader.fieldnames != ALIAS_COLUMNS:
            yield Finding(file, 1, f"the header must be {','.join(ALIAS_COLUMNS)}")
            return
        for row in reader:
            alias, unit = normalise_name(row["alias"] or ""), (row["unit"] or "").strip()
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


def _parse_code(text: str) -> str:
    """Undo the spelling of a code in a form's choices, such as `cg_ac084_b0017`."""
    return to_ascii_digits(text.strip()).upper().replace("_", "-")


def _format_suggestions(suggestions: list[str]) -> str:
    return f"; alike: {', '.join(suggestions)}" if suggestions else ""
