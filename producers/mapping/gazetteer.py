"""Units by code, by alias, or by name within the units above them. Exact after normalisation; what is merely alike is suggested in the error and never taken. Pure.

An alias file is CSV with the columns `alias,unit`: what a form's choices or people call a unit.
"""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz, process

from pravah.days import date_of
from pravah.units import Level, state_of
from producers.mapping.pseudonyms import ascii_digits
from schemas.registry import Finding, Registry, RegistryError, Unit

By = Literal["code", "alias", "name"]

ALIAS_COLUMNS = ["alias", "unit"]
_SUGGESTED, _ALIKE = 3, 75.0
"""So many suggestions at most, each at least so alike (0 to 100)."""

_NASALS = [("ङ", "कखगघ"), ("ञ", "चछजझ"), ("ण", "टठडढ"), ("न", "तथदध"), ("म", "पफबभ")]
_NASAL = re.compile("|".join(f"{nasal}्(?=[{following}])" for nasal, following in _NASALS))
"""केन्द्र and केंद्र are one word: a nasal before a consonant of its own class may be written as anusvara."""
_JOINERS = re.compile("[\u200b-\u200d\u2060\ufeff]")


class UnitError(ValueError):
    """A text that names no unit, or more than one: what was given, and what is alike."""


class Gazetteer:
    """Finds units of one registry; one object serves any number of threads."""

    def __init__(
        self, registry: Registry, aliases: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        """Take a registry and the lines of alias files by file name.

        Raises:
            RegistryError: with all findings of the alias files: a wrong header, an unknown unit, an empty alias, one alias for two units.
        """
        self.registry = registry
        self._aliases: dict[str, str] = {}
        findings = [
            finding
            for name, lines in (aliases or {}).items()
            for finding in self._take(name, lines)
        ]
        if findings:
            raise RegistryError(findings)

    def find(
        self,
        text: str,
        day: int,
        *,
        by: By = "code",
        level: Level | None = None,
        within: Sequence[str] = (),
    ) -> str:
        """The code of the unit that a text names, open on a day.

        Args:
            text: a code, an alias, or a name in English or Hindi.
            day: `pravah.days`.
            by: which of them.
            level: of a name.
            within: codes of units that stand above it on that day, for a name.

        Raises:
            UnitError: it names none, several, or one that is not open.
        """
        if by == "code":
            return self._open(self._code(text), day)
        if by == "alias":
            return self._open(self._alias(text), day)
        return self._name(text, day, level, within)

    def above(self, text: str, day: int, level: Level) -> str:
        """The code of the unit of a level that a text names, however it does: by code, alias, or name.

        Raises:
            UnitError: it names none or several.
        """
        for code in (_as_code(text), self._aliases.get(normalised(text))):
            unit = self.registry.units.get(code or "")
            if unit is not None and unit.level == level:
                return self._open(unit.code, day)
        return self._name(text, day, level, ())

    def _code(self, text: str) -> str:
        code = _as_code(text)
        if code not in self.registry.units:
            msg = f"{shown(text)} is not in the registry"
            raise UnitError(msg)
        return code

    def _alias(self, text: str) -> str:
        code = self._aliases.get(normalised(text))
        if code is None:
            alike = process.extract(
                normalised(text),
                self._aliases.keys(),
                scorer=fuzz.ratio,
                limit=_SUGGESTED,
                score_cutoff=_ALIKE,
            )
            suggestions = [f"{alias} ({self._aliases[alias]})" for alias, _, _ in alike]
            msg = f"{shown(text)} is in no alias file; add a line alias,unit{_alike(suggestions)}"
            raise UnitError(msg)
        return code

    def _open(self, code: str, day: int) -> str:
        if not self.registry.is_open(code, day):
            msg = f"{code} does not exist on {date_of(day)} (Asia/Kolkata)"
            raise UnitError(msg)
        return code

    def _name(self, text: str, day: int, level: Level | None, within: Sequence[str]) -> str:
        found = [
            unit.code
            for unit in self._named(text, day)
            if level in {None, unit.level} and self._is_within(unit.code, day, within)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(
                f"{self.registry.units[code].name_en} ({code})"
                for code in sorted(found)[:_SUGGESTED]
            )
            more = f" and {len(found) - _SUGGESTED} more" if len(found) > _SUGGESTED else ""
            msg = f"{shown(text)} is the name of {len(found)} units: {several}{more}; say the unit above it, or the code"
            raise UnitError(msg)
        msg = f"{shown(text)} is the name of no unit there on that day; correct it, or add an alias{_alike(self._suggestions(text, day, level, within))}"
        raise UnitError(msg)

    def _named(self, text: str, day: int) -> list[Unit]:
        return [
            unit
            for unit in self._by_name.get(normalised(text), ())
            if unit.first <= day <= unit.last
        ]

    def _is_within(self, code: str, day: int, within: Sequence[str]) -> bool:
        # a code names its state and assembly, which leaves few of the thousands of booths with one name to be looked at
        return all(
            code.startswith(ancestor if "-AC" in ancestor else state_of(ancestor) or "")
            for ancestor in within
        ) and all(self.registry.is_at_or_below(code, ancestor, day) for ancestor in within)

    def _suggestions(
        self, text: str, day: int, level: Level | None, within: Sequence[str]
    ) -> list[str]:
        alike = process.extract(
            normalised(text),
            self._by_name.keys(),
            scorer=fuzz.ratio,
            limit=10 * _SUGGESTED,
            score_cutoff=_ALIKE,
        )
        units = (
            unit
            for name, _, _ in alike
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
            for unit, _ in zip(fitting, range(_SUGGESTED), strict=False)
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[Unit]]:
        """Units by their names in both languages, made when a name is first looked for: most forms have codes."""
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.registry.units.values():
            for name in {normalised(unit.name_en), normalised(unit.name_hi)}:
                found[name].append(unit)
        return dict(found)

    def _take(self, file: str, lines: Iterable[str]) -> Iterator[Finding]:
        reader = csv.DictReader(lines)
        if reader.fieldnames != ALIAS_COLUMNS:
            yield Finding(file, 1, f"the header must be {','.join(ALIAS_COLUMNS)}")
            return
        for row in reader:
            alias, unit = normalised(row["alias"] or ""), (row["unit"] or "").strip()
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
    """The lines of a folder's `*.aliases.csv` by file name, for `Gazetteer`."""
    return {
        path.name: path.read_text(encoding="utf-8-sig").splitlines()
        for path in sorted(folder.glob("*.aliases.csv"))
    }


@lru_cache(maxsize=100_000)
def normalised(name: str) -> str:
    """A name as it is compared: without case, punctuation and joiners, digits as 0 to 9, one way of writing nasals in Devanagari."""
    text = _JOINERS.sub("", unicodedata.normalize("NFC", name)).casefold()
    text = _NASAL.sub("ं", text).replace("ँ", "ं")
    return " ".join(
        "".join(
            sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in ascii_digits(text)
        ).split()
    )


def _as_code(text: str) -> str:
    """A code as forms' choices spell it: cg_ac084_b0017."""
    return ascii_digits(text.strip()).upper().replace("_", "-")


def _alike(suggestions: list[str]) -> str:
    return f"; alike: {', '.join(suggestions)}" if suggestions else ""


def shown(text: str) -> str:
    """A text in a message: no more than a name has, and no long numbers, which may be personal."""
    cut = re.sub(r"\d{7,}", "…", ascii_digits(text))
    return repr(cut if len(cut) <= 60 else cut[:60] + "…")  # noqa: PLR2004
