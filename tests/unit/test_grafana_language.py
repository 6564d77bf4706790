"""Dashboards in one language have no text of the other; in both, each text has both."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from grafana.build import dashboards
from grafana.language import choose, in_language

DEVANAGARI = re.compile("[\u0900-\u097f]")
# Names of programs and numbers stay in Latin; five words in a row are an English text.
ENGLISH = re.compile(r"(?:\b[a-z'’]+,? ){5}")
DASHBOARDS = dashboards()


def texts(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from texts(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from texts(value, key)
    elif isinstance(content, str) and key != "rawSql":
        yield key, content


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_in_one_language_has_no_text_of_the_other(uid: str) -> None:
    built = DASHBOARDS[uid]
    for key, text in texts(in_language(built, "en")):
        assert not DEVANAGARI.search(text), (key, text)
    for key, text in texts(in_language(built, "hi")):
        if DEVANAGARI.search(text):
            assert not ENGLISH.search(text), (key, text)
            assert " · " not in text or "${" in text, (key, text)
    assert in_language(built, "both") == built


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_definition_has_a_paragraph_for_each_language(uid: str) -> None:
    for key, text in texts(DASHBOARDS[uid]):
        if key == "description" and DEVANAGARI.search(text):
            hindi, english = text.split("\n\n")
            assert DEVANAGARI.search(hindi)
            assert not DEVANAGARI.search(english), text


@pytest.mark.parametrize(
    ("text", "hindi", "english"),
    [
        ("इकाई · unit", "इकाई", "unit"),
        ("✖ मौन · silent", "✖ मौन", "✖ silent"),
        ("प्रति 100 बूथ · per 100 booths", "प्रति 100 बूथ", "per 100 booths"),
        ("कितने बूथ? How many booths?", "कितने बूथ?", "How many booths?"),
        ("code", "code", "code"),
        ("इकाई", "इकाई", "इकाई"),
    ],
)
def test_a_text_is_parted_where_english_begins(text: str, hindi: str, english: str) -> None:
    assert (choose(text, "hi"), choose(text, "en")) == (hindi, english)


def test_queries_stay_the_same_but_for_the_words_that_they_show() -> None:
    query = {"rawSql": "SELECT if(a, 'आई · in', 'गई · out') AS x, 'a · b' FROM t"}
    assert in_language(query, "hi") == {"rawSql": "SELECT if(a, 'आई', 'गई') AS x, 'a · b' FROM t"}
    assert in_language(query, "en") == {"rawSql": "SELECT if(a, 'in', 'out') AS x, 'a · b' FROM t"}
