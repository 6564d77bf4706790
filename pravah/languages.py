"""Hindi and English: the languages in which Pravah shows names, headings and reports."""

from typing import Literal, TypeAlias

Language: TypeAlias = Literal["hi", "en"]
# What a reader chooses: one language, or both, each on a line or in a column of its own.
Lang: TypeAlias = Literal["hi", "en", "both"]

_LANGUAGES: dict[Lang, tuple[Language, ...]] = {
    "hi": ("hi",),
    "en": ("en",),
    "both": ("hi", "en"),
}


def languages_of(lang: Lang) -> tuple[Language, ...]:
    """The languages of a choice; with `both`, Hindi first."""
    return _LANGUAGES[lang]
