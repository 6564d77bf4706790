"""A mapping guessed from a table's header and first rows, each guess with its evidence.

What cannot be guessed becomes a placeholder, which the mapping's reader refuses with its place and
what to write. Nothing is sent by a guess: a person reads the mapping and the rows as they would
count first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pravah.events import MODELS, Kind
from producers.mapping.conversions import Cell, to_text
from producers.tables.column_profiles import ColumnProfile, iter_profiles, put_month_first
from producers.tables.headings import Meaning, contains_words
from producers.tables.identities import STOCKS, Known, find_links, iter_identities
from producers.tables.kinds import CONSTANTS, WORDS_OF_KIND, find_value, has_values_of
from producers.tables.mapping import PLACEHOLDER
from producers.tables.rows import find_totals

# Rows that are looked at.
MAX_ROWS = 200
_UNITS: tuple[Meaning, ...] = ("code", "booth", "assembly", "district", "division")
# Field of `data` with a number → meanings of its heading.
_NUMBERS: dict[Kind, dict[str, tuple[Meaning, ...]]] = {
    "membership": {"count": ("new_members", "members")},
    "messaging_group": {"members": ("members", "new_members")},
    "training_held": {"attendees": ("attendees", "members")},
    "committee_formed": {"members": ("members",)},
    "social_post": {"posts": ("posts",), "reach": ("reach",), "engagements": ("engagements",)},
    "tally": {"value": ("doors", "volunteers")},
    "incharge_appointed": {},
}
# Field of `data` with one of a few words → meaning of its heading.
_CHOICES: dict[str, Meaning] = {
    "role": "role",
    "mode": "mode",
    "platform": "platform",
    "group_type": "group_type",
}
# Of a kind, and how much more than any other kind.
_MIN_SCORE = 3
# Meanings of a number that only one kind of events has.
_SINGULAR: set[Meaning] = {
    "new_members", "attendees", "posts", "reach", "engagements", "doors", "volunteers",
}  # fmt: skip


class Guess(NamedTuple):
    """One key of a suggested mapping."""

    place: str
    """Such as `unit.assembly`."""
    value: object
    """A text, number, boolean, list of texts, or table of texts."""
    evidence: str
    column: str | None = None
    """The column that it uses."""


@dataclass
class Suggestion:
    """A guessed mapping."""

    guesses: list[Guess] = field(default_factory=list)
    unused: list[tuple[str, str]] = field(default_factory=list)
    """Columns that it does not use, with the reason."""

    def find_column_uses(self) -> dict[str, list[str]]:
        """Return the places in the mapping that use each column."""
        found: dict[str, list[str]] = {}
        for guess in self.guesses:
            names = guess.value if isinstance(guess.value, list) else [guess.column]
            for name in names if guess.column is not None else []:
                found.setdefault(str(name), []).append(guess.place.removesuffix(".column"))
        return found


def suggest_mapping(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    name: str,
    titles: Sequence[str] = (),
    sheet: str | None = None,
) -> Suggestion:
    """Guess the mapping of a table.

    Args:
        columns: the table's column names.
        rows: its rows; the first `MAX_ROWS` are looked at.
        name: the file's name without its suffix.
        titles: texts above the header.
        sheet: the sheet's name if the mapping must say it.
    """
    looked_at = [row for row, _ in zip(rows, range(MAX_ROWS), strict=False)]
    return _Suggester(columns, looked_at, name, titles, sheet).suggest()


class _Suggester:
    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        name: str,
        titles: Sequence[str],
        sheet: str | None,
    ) -> None:
        self._totals = list(find_totals(columns, rows))
        totals = {number for number, _, _ in self._totals}
        data = [row for number, row in enumerate(rows) if number not in totals]
        self._profiles = list(iter_profiles(columns, data))
        self._rows = len(data)
        self._name, self._sheet = name, sheet
        self._titles = " ".join([name.replace("_", " "), *titles, sheet or ""])
        self._headings = " ".join(profile.heading for profile in self._profiles)
        self._found = Suggestion()
        self._used: set[int] = set()

    def suggest(self) -> Suggestion:
        kind, evidence = self._find_kind()
        self._add("kind", kind or f"{PLACEHOLDER} one of {', '.join(MODELS)}", evidence)
        self._add("producer", f"table-{self._name}"[:128], "the file's name; write your office's")
        if self._sheet is not None:
            self._add("sheet", self._sheet, "the sheet that was looked at")
        date = self._add_date()
        units = self._add_unit()
        if kind is not None:
            self._add_fields(kind)
        self._add_reporter()
        self._add_evidence()
        self._add_entity(kind, date, units)
        for _, column, text in filter(lambda total: total[1], self._totals):
            self._add("skip", {"column": column, "is": [text]}, f"a row says {text!r}")
        self._note_unused()
        return self._found

    def _add(self, place: str, value: object, evidence: str, column: str | None = None) -> None:
        self._found.guesses.append(Guess(place, value, evidence, column))

    def _use(self, place: str, profile: ColumnProfile, evidence: str) -> None:
        self._used.add(profile.index)
        self._add(place, profile.name, evidence, profile.name)

    def _pick(
        self, meanings: Sequence[Meaning], fits: Callable[[ColumnProfile], bool] = lambda _: True
    ) -> ColumnProfile | None:
        """Return the first column that is free, has one of the meanings, and fits."""
        return next(
            (
                profile
                for meaning in meanings
                for profile in self._profiles
                if profile.index not in self._used and profile.means(meaning) and fits(profile)
            ),
            None,
        )

    def _say(self, profile: ColumnProfile, count: int | None = None, noun: str = "") -> str:
        """Return the evidence of a column: words of its heading, and how many values fit."""
        words = ", ".join(repr(one.phrase) for one in profile.meanings[:1])
        heading = f"heading has {words}" if words else "by its values"
        filled = len(profile.values)
        return f"{heading}; {count} of {filled} values {noun}" if count is not None else heading

    def _find_kind(self) -> tuple[Kind | None, str]:
        scores = {kind: list(self._iter_kind_evidence(kind)) for kind in WORDS_OF_KIND}
        sums = {kind: sum(weight for weight, _ in found) for kind, found in scores.items()}
        best = max(sums, key=lambda kind: sums[kind])
        has_rival = list(sums.values()).count(sums[best]) > 1
        if sums[best] < _MIN_SCORE or has_rival:
            return None, "neither headings nor title say it"
        return best, "; ".join(reason for _, reason in scores[best])

    def _iter_kind_evidence(self, kind: Kind) -> Iterator[tuple[int, str]]:
        """Yield weight and description of what speaks for a kind."""
        if contains_words(self._titles, WORDS_OF_KIND[kind]):
            yield 2, "title or file name has words of it"
        if contains_words(self._headings, WORDS_OF_KIND[kind]):
            yield 1, "headings have words of it"
        has_number = False
        for name, meanings in _NUMBERS[kind].items():
            profile = self._pick(meanings, lambda one: one.is_mostly(one.numbers))
            if profile is not None:
                has_number = True
                is_singular = any(one.meaning in _SINGULAR for one in profile.meanings)
                yield 3 if is_singular else 2, f"{profile.heading!r} may be its {name}"
        data = MODELS[kind].model_fields["data"].annotation
        for name, meaning in _CHOICES.items():
            if name in data.model_fields and (profile := self._pick([meaning])) is not None:  # type: ignore[union-attr]
                yield 2, f"{profile.heading!r} may be its {name}"
        if kind in {"membership", "incharge_appointed"} and not has_number:
            phone = self._find_phone()
            if phone is not None:
                has_names = any(one.means("name") for one in self._profiles)
                yield 1 + has_names, f"{phone.heading!r} has persons' phone numbers"

    def _find_phone(self) -> ColumnProfile | None:
        return next(
            (
                profile
                for profile in self._profiles
                if profile.index not in self._used
                and profile.is_mostly(profile.phones)
                and (profile.means("phone") or not profile.meanings)
                and not profile.means("reporter")
            ),
            None,
        )

    def _add_date(self) -> ColumnProfile | None:
        days = [
            profile
            for profile in self._profiles
            if profile.is_mostly(profile.days) and not profile.means("birth")
        ]
        named = [profile for profile in days if profile.means("date")]
        # the day of the event rather than that of the report
        days.sort(
            key=lambda profile: (
                contains_words(profile.heading, "timestamp|submitted at|submission time"),
                profile not in named,
            )
        )
        profile = next(iter(days), None) or self._pick(["date"], lambda one: bool(one.values))
        if profile is None:
            text = (
                f"{PLACEHOLDER} the day of the list, such as 2022-05-03; or column = one with days"
            )
            self._add("occurred_at.value", text, "no column has days")
            return None
        self._use("occurred_at.column", profile, self._say(profile, profile.days, "are days"))
        form, count = profile.format
        if not profile.is_mostly(profile.days):
            text = f"{PLACEHOLDER} how days are written, such as %d/%m/%Y; make all rows alike"
            evidence = f"the likeliest is {form or '2022-05-03'}, in {count} rows"
            self._add("occurred_at.format", text, evidence)
            return profile
        if count and profile.date_cells:
            text = f"{PLACEHOLDER} right if the date cells show the right day, else swapped"
            evidence = f"{profile.date_cells} date cells and {count} texts"
            self._add("occurred_at.date_cells", text, evidence)
        if form is not None:
            self._add("occurred_at.format", form, self._say_format(profile, form, count))
        if profile.heading == "_submission_time":
            self._add("occurred_at.zone", "UTC", "KoboToolbox writes it so")
        return profile

    @staticmethod
    def _say_format(profile: ColumnProfile, form: str, count: int) -> str:
        example = next(text for text in profile.texts)
        evidence = f"reads {count} of {len(profile.values)}, such as {example}"
        if form.startswith(("%d/%m", "%d-%m", "%d.%m")):
            other = put_month_first(form)
            if profile.count_days_in(other) == count:
                return f"{evidence}; {other} reads them too: LOOK which it is"
        return evidence

    def _add_unit(self) -> list[ColumnProfile]:
        codes = [profile for profile in self._profiles if profile.is_mostly(profile.codes)]
        if codes:
            # the lowest level, whose codes are the longest
            code = max(codes, key=lambda one: max(map(len, one.texts)))
            self._use("unit.column", code, self._say(code, code.codes, "are unit codes"))
            return [code]
        booths = [one for one in self._profiles if one.means("booth")]
        booths.sort(key=lambda one: not one.is_mostly(one.numbers))
        levels: list[tuple[str, ColumnProfile | None]] = [
            ("booth", next(iter(booths), None)),
            ("assembly", self._pick(["assembly"])),
            ("district", self._pick(["district"])),
            ("division", self._pick(["division"])),
        ]
        found = [(level, profile) for level, profile in levels if profile is not None]
        if not found:
            text = f"{PLACEHOLDER} the column with the unit's code or name, such as बूथ"
            self._add("unit.column", text, "no heading names a unit")
            return []
        level, profile = found[0]
        self._use("unit.column", profile, self._say(profile))
        self._add("unit.by", "name", "the values are no unit codes")
        self._add("unit.level", level, self._say(profile))
        above = found[1:2]
        if level == "booth" and (not above or above[0][0] != "assembly"):
            text = f"{PLACEHOLDER} the column that names the assembly constituency, विधानसभा"
            self._add("unit.assembly", text, "a booth's name or number says nothing without it")
            above = []
        if level == "assembly" and above:
            above = []  # names of constituencies are enough
        for place, upper in above:
            self._use(f"unit.{place}", upper, self._say(upper))
        return [profile, *(upper for _, upper in above)]

    def _add_fields(self, kind: Kind) -> None:
        model = MODELS[kind].model_fields["data"].annotation
        required = {name for name, one in model.model_fields.items() if one.is_required()}  # type: ignore[union-attr]
        found = set(self._add_numbers(kind))
        if kind in {"membership", "incharge_appointed"}:
            found |= self._add_persons(kind, has_count="count" in found)
        if kind == "tally":
            found |= self._add_metric()
        for name, meaning in _CHOICES.items():
            if name in model.model_fields:  # type: ignore[union-attr]
                found |= self._add_choice(name, meaning)
        if kind == "training_held":
            found |= self._add_programme()
        if (
            kind == "social_post"
            and "posts" not in found
            and find_links(self._profiles) is not None
        ):
            self._add("constants.posts", 1, "each row has the link of one post")
            found.add("posts")
        for name in sorted(required - found):
            if name in _NUMBERS[kind] and self._add_only_number(name):
                continue
            text = f"{PLACEHOLDER} the column with the {name} of {kind}"
            self._add(f"fields.{name}.column", text, "no heading says it")
            if name in _NUMBERS[kind]:
                self._add(f"fields.{name}.type", "integer", "")

    def _add_numbers(self, kind: Kind) -> Iterator[str]:
        for name, meanings in _NUMBERS[kind].items():
            profile = self._pick(meanings, lambda one: one.is_mostly(one.numbers))
            if profile is None:
                continue
            alike = [
                one.name
                for one in self._profiles
                if one.index not in self._used
                and one.is_mostly(one.numbers)
                and one.means(profile.meanings[0].meaning)
            ]
            if len(alike) > 1:
                text = f"{PLACEHOLDER} one of {', '.join(alike)}; a mapping counts one column"
                self._add(f"fields.{name}.column", text, "several headings may be it")
                self._add(f"fields.{name}.type", "integer", "")
                yield name
                continue
            self._use(
                f"fields.{name}.column",
                profile,
                self._say(profile, profile.numbers, "are whole numbers"),
            )
            self._add(f"fields.{name}.type", "integer", "")
            if len(profile.values) < self._rows and name in {"reach", "engagements"}:
                empty = self._rows - len(profile.values)
                self._add(f"fields.{name}.optional", value=True, evidence=f"empty in {empty} rows")
            yield name

    def _add_only_number(self, name: str) -> bool:
        """Use the only column of numbers that is left, if there is just one."""
        left = [
            profile
            for profile in self._profiles
            if profile.index not in self._used
            and profile.is_mostly(profile.numbers)
            and not profile.is_mostly(profile.phones)
            and not profile.means("serial", "birth", "identity", "version", *_UNITS)
        ]
        if len(left) != 1:
            return False
        self._use(f"fields.{name}.column", left[0], "the only column of numbers that is left")
        self._add(f"fields.{name}.type", "integer", "")
        return True

    def _add_persons(self, kind: Kind, *, has_count: bool) -> set[str]:
        if has_count:
            return {"count"}
        phone = self._find_phone()
        field = "member_keys" if kind == "membership" else "person"
        if phone is None:
            return set()
        evidence = self._say(phone, phone.phones, "are phone numbers")
        self._use(f"fields.{field}.column", phone, evidence)
        self._add(f"fields.{field}.type", "phone", "only keyed hashes are sent")
        if kind != "membership":
            return {"person"}
        self._add("constants.count", 1, "each row is one person")
        evidence = f"{phone.several} cells have several" if phone.several else "a list of one"
        self._add(f"fields.{field}.many", value=True, evidence=evidence)
        return {"count", "member_keys"}

    def _add_metric(self) -> set[str]:
        doors = any(one.means("doors") for one in self._profiles if one.index in self._used)
        name = "doors_visited" if doors else "volunteers"
        self._add("constants.metric", name, "by the heading of its value")
        return {"metric"}

    def _add_choice(self, name: str, meaning: Meaning) -> set[str]:
        profile = self._pick([meaning], lambda one: bool(one.values)) or next(
            (
                one
                for one in self._profiles
                if one.index not in self._used
                and not one.means("name", "group_name", "identity")
                and has_values_of(name, one.texts)
            ),
            None,
        )
        if profile is not None and len(set(profile.texts)) <= max(12, len(profile.values) // 4):
            self._use(f"fields.{name}.column", profile, self._say(profile))
            values: dict[str, str] = {}
            for text in dict.fromkeys(profile.texts):
                choices = " or ".join(CONSTANTS[name])
                values[text] = find_value(name, text) or (
                    f"{PLACEHOLDER} {choices}; or delete the line, and such rows are refused"
                )
            self._add(f"fields.{name}.values", values, "by its values")
            return {name}
        value = find_value(name, f"{self._titles} {self._headings}")
        if value is None:
            text = f"{PLACEHOLDER} {' or '.join(CONSTANTS[name])}, for all rows"
            self._add(f"constants.{name}", text, "no heading says it")
        else:
            self._add(f"constants.{name}", value, "by words of title or headings")
        return {name}

    def _add_programme(self) -> set[str]:
        profile = self._pick(["programme"])
        if profile is not None:
            self._use("fields.programme.column", profile, self._say(profile))
        elif contains_words(self._titles, WORDS_OF_KIND["incharge_appointed"]):
            self._add("constants.programme", "incharge", "the title speaks of in-charges")
        else:
            text = f"{PLACEHOLDER} the programme's name; the plan counts incharge"
            self._add("constants.programme", text, "no heading says it")
        return {"programme"}

    def _add_reporter(self) -> None:
        profile = self._pick(["reporter"], lambda one: one.is_mostly(one.phones))
        if profile is not None:
            evidence = self._say(profile, profile.phones, "are phone numbers")
            self._use("envelope.reporter.column", profile, evidence)
            self._add("envelope.reporter.type", "phone", "only a keyed hash is sent")
            if len(profile.values) < self._rows:
                self._add("envelope.reporter.optional", value=True, evidence="")

    def _add_evidence(self) -> None:
        profile = self._pick(["evidence"], lambda one: one.is_mostly(one.links))
        if profile is not None:
            self._use(
                "envelope.evidence.column", profile, self._say(profile, profile.links, "are links")
            )
            self._add("envelope.evidence.optional", value=True, evidence="")

    def _add_entity(
        self, kind: Kind | None, date: ColumnProfile | None, units: list[ColumnProfile]
    ) -> None:
        self._add(
            "entity.prefix", f"sheet:{self._name}"[:100], "the file's name; never change it later"
        )
        fields = {one.place: one for one in self._found.guesses}
        known = Known(
            kind,
            is_stock=kind in STOCKS
            or fields.get("constants.metric", Guess("", "", "")).value == "volunteers",
            is_one_post="constants.posts" in fields,
            units=units,
            date=date,
            persons={one.column for one in fields.values() if one.place.startswith("fields")},
        )
        for candidates, why in iter_identities(self._profiles, known):
            keys = [
                tuple(to_text(one.cells[row]) for one in candidates) for row in range(self._rows)
            ]
            if (
                candidates
                and keys
                and len(set(keys)) == len(keys)
                and all(all(key) for key in keys)
            ):
                self._used |= {one.index for one in candidates}
                names = [one.name for one in candidates]
                evidence = f"differ in {len(keys)} of {len(keys)} rows; {why}"
                self._add("entity.columns", names, evidence, names[0])
                return
        text = f"{PLACEHOLDER} the columns that identify a row, for good, such as a form's number"
        self._add("entity.columns", [text], "no columns differ in all rows")

    def _note_unused(self) -> None:
        for profile in self._profiles:
            if profile.index in self._used:
                continue
            meaning = profile.meanings[0].meaning if profile.meanings else None
            reason = {
                "name": "names of persons are not sent",
                "phone": "phone numbers are not sent",
                "birth": "personal",
                "reporter": "personal",
                "serial": "a running number",
                "district": "the unit is known without it",
                "division": "the unit is known without it",
                "assembly": "the unit is known without it",
                "booth": "the unit is known without it",
            }.get(meaning or "", "no field of the event")
            self._found.unused.append((profile.name, reason))
