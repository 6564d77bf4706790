"""Dashboards in one language.

Titles, headings and words stand beside each other, as `इकाई · unit`, since a title of Grafana's has
one line only; a definition is a paragraph in Hindi and one in English. For viewers of one language
the other is left out.
"""

import re
from typing import Any

from pravah.languages import Lang, Language

# Hindi, a middle dot, English; a sign before the Hindi, such as ✖, belongs to both.
_PAIR = re.compile(
    r"(?P<sign>[^\w\s\u0900-\u097f]+ )?(?P<hi>.*[\u0900-\u097f].*?) · (?P<en>[^\u0900-\u097f]+)"
)
# Sentences in Hindi, then sentences in English.
_SENTENCES = re.compile(
    r"(?P<hi>.*[\u0900-\u097f][^\s\u0900-\u097f]*)\s+(?P<en>[A-Z0-9'(▲][^\u0900-\u097f]*)",
    re.DOTALL,
)
_QUOTED = re.compile(r"'([^'\n]*[\u0900-\u097f][^'\n]*)'")


def in_language(content: Any, lang: Lang) -> Any:
    """Return a dashboard's JSON with its texts in a language; with `both`, as it was built."""
    return content if lang == "both" else _translate(content, lang)


def part_definitions(content: Any) -> Any:
    """Return JSON in which each definition has a paragraph for each language."""
    match content:
        case dict():
            return {
                name: choose(value, "hi") + "\n\n" + choose(value, "en")
                if name == "description" and isinstance(value, str) and _SENTENCES.fullmatch(value)
                else part_definitions(value)
                for name, value in content.items()
            }
        case list():
            return list(map(part_definitions, content))
    return content


def _translate(content: Any, language: Language, key: str = "") -> Any:
    match content:
        case dict():
            return {name: _translate(value, language, name) for name, value in content.items()}
        case list():
            return [_translate(value, language, key) for value in content]
        case str() if key == "rawSql":
            return _QUOTED.sub(lambda text: f"'{choose(text[1], language)}'", content)
        case str():
            return choose(content, language)
    return content


def choose(text: str, language: Language) -> str:
    """Return the part of a text that is in a language; the whole text if it has no other."""
    if pair := _PAIR.fullmatch(text):
        return (pair["sign"] or "") + pair[language]
    if sentences := _SENTENCES.fullmatch(text):
        return str(sentences[language])
    return text
