"""Parts of the situation report that need no server: texts, numbers, fonts, charts and the map."""

import base64
import io
import json
import re
import subprocess
import sys
from datetime import date, timedelta
from itertools import pairwise

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

import reference
from operations.registry_files import read_registry_files
from pravah.days import day_of
from reports.boundaries import dissolve
from reports.charts import bars, choropleth, trend
from reports.fonts import FAMILIES, font_faces
from reports.labels import PHRASES, format_number, format_percent, phrase
from reports.situation import Curve, DayAmount
from tests.support.weasy import weasyprint

DAY = date(2022, 6, 20)
WORDS = ("शिक्षण", "प्रशिक्षण", "संभाग", "ज़िला", "नियुक्ति")


def test_devanagari_is_shaped() -> None:
    """By the PDF's glyph numbers: conjuncts have fewer glyphs than characters, a short i precedes
    its consonant, and no glyph is missing."""
    text = " ".join(WORDS)
    html = (
        f'<style>{font_faces(text)} p {{ font-family: "{FAMILIES["latin"]}",'
        f' "{FAMILIES["devanagari"]}" }}</style>' + "".join(f"<p>{word}</p>" for word in WORDS)
    )
    paper = weasyprint.HTML(string=html).write_pdf(uncompressed_pdf=True)
    drawn = [
        re.findall(r"[0-9a-f]{4}", "".join(re.findall(r"<([0-9a-f]+)>", line)))
        for line in re.findall(r"\[(.*?)\]\s*TJ", paper.decode("latin-1"))
    ]
    drawn = [glyphs for glyphs in drawn if glyphs]
    assert len(drawn) == len(WORDS)
    embedded = re.search(
        r"devanagari.*?base64,([^\"]+)",
        str(font_faces(text)).replace("\n", " ").split("@font-face")[1],
        re.IGNORECASE,
    )
    with TTFont(io.BytesIO(base64.b64decode(embedded[1]))) as font:
        nominal = {
            sign: f"{font.getGlyphID(font.getBestCmap()[ord(sign)]):04x}"
            for sign in set("".join(WORDS))
        }
    for word, glyphs in zip(WORDS, drawn, strict=True):
        assert "0000" not in glyphs
        plain = [nominal[sign] for sign in word]
        assert glyphs != plain or "ि" not in word
        if "्" in word:
            assert len(glyphs) < len(word)
            assert nominal["्"] not in glyphs, "no virama is seen"
    # the short i of शिक्षण is drawn before its श, that of नियुक्ति twice before what it belongs to
    assert drawn[0].index(nominal["श"]) == 1
    assert drawn[4].index(nominal["न"]) == 1


def test_every_phrase_says_the_same_things_in_both_languages() -> None:
    for key, pair in PHRASES.items():
        hindi, english = (set(re.findall(r"\{(\w+)(?::[^}]*)?\}", text)) for text in pair)
        assert hindi == english, key
        assert not re.search(r"[a-z]", re.sub(r"\{\w+(:|\})", "", pair[0])), key
        assert not re.search(r"[\u0900-\u097f]", pair[1]), key
    assert phrase("by_day", "hi", day=date(2022, 6, 30)) == "30 जून 2022 तक"
    assert phrase("by_day", "en", day=date(2022, 6, 30)) == "By 30 June 2022"
    assert phrase("days_left", "en", count=1) == "1 day left"
    assert phrase("days_left", "en", count=1_20_000) == "1,20,000 days left"
    assert phrase("finished", "hi", count=1) == "1 लक्ष्य पूरा हो चुका है"


@given(st.integers(-(10**12), 10**12))
def test_numbers_are_grouped_as_in_india(number: int) -> None:
    text = format_number(number)
    assert text.replace(",", "") == str(number)
    assert re.fullmatch(r"-?\d{1,3}|-?\d{1,2}(,\d\d)*,\d{3}", text)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_is_whole_only_if_it_is(part: int, whole: int) -> None:
    part = min(part, whole)
    assert (format_percent(part / whole) == "100.0%") == (part == whole)
    assert (format_percent(part / whole) == "0.0%") == (part == 0)


@pytest.mark.parametrize(
    ("day", "districts"), [(date(2022, 1, 15), 28), (date(2022, 9, 5), 31), (date(2022, 9, 9), 33)]
)
def test_the_map_has_the_districts_of_the_day_and_all_of_the_state(
    day: date, districts: int
) -> None:
    registry = read_registry_files(reference.registry_files())
    on = day_of(day)
    areas = {
        code: span.ancestor
        for code, unit in registry.units.items()
        if unit.level == "assembly"
        for span in registry.spans(code)
        if span.level == "district" and span.first <= on <= span.last
    }
    geojson = json.loads(reference.boundaries_file("CG").read_text(encoding="utf-8"))
    features = dissolve(geojson, areas)
    assert len(features) == districts
    whole = dissolve(geojson, dict.fromkeys(areas, "CG"))
    assert sum(map(_area, features)) == pytest.approx(_area(whole[0]), rel=0.002)
    for feature in features:
        assert _inside(feature["label"], feature), feature["id"]
    shares = {feature["id"]: number / districts for number, feature in enumerate(features)}
    drawn = choropleth(geojson, areas, {**shares, features[0]["id"]: None})
    assert drawn.svg.count("<text") == districts
    assert "\N{EN DASH}</text>" in drawn.svg, "nothing expected is not zero"
    names = {feature["id"]: f"Area {number}" for number, feature in enumerate(features)}
    named = _texts(choropleth(geojson, areas, shares, names).svg)
    assert set(named) == {f"{name} {int(shares[code] * 100)}" for code, name in names.items()}
    assert drawn.steps[0][1] <= min(shares.values())
    assert drawn.steps[-1][2] >= max(shares.values())


def _area(feature: dict) -> float:
    return sum(
        abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring))) / 2
        for (ring,) in feature["geometry"]["coordinates"]
    )


def _inside(point: tuple[float, float], feature: dict) -> bool:
    x, y = point
    edges = [
        (one, other)
        for (ring,) in feature["geometry"]["coordinates"]
        for one, other in pairwise(ring)
    ]
    return (
        sum(
            (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            for (x1, y1), (x2, y2) in edges
        )
        % 2
        == 1
    )


def test_a_missing_system_library_is_named_with_its_package() -> None:
    code = """
import cffi, sys
opened = cffi.FFI.dlopen
def dlopen(self, name, flags=0):
    if "pango" in str(name):
        raise OSError(f"cannot load library {name!r}: no such file")
    return opened(self, name, flags)
cffi.FFI.dlopen = dlopen
from reports.pdf import missing_libraries
print(missing_libraries())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apt-get install libpango-1.0-0" in said.stdout
    assert said.stdout.count("\n") == 1
    assert said.stderr == ""


def _texts(svg: str) -> list[str]:
    return re.findall(r"<(?:text|span)[^>]*>([^<]*)</(?:text|span)>", svg)


def test_the_trend_numbers_each_curve_and_each_deadline_in_sight() -> None:
    first = DAY - timedelta(days=149)
    shares = [0.0] * 100 + [number / 50 for number in range(50)]
    deadlines = [DAY - timedelta(days=20), DAY + timedelta(days=10), DAY + timedelta(days=60)]
    curves = [
        Curve(f"m{number}", "", "", deadline, first, shares)
        for number, deadline in enumerate(deadlines)
    ]
    svg = trend(curves, DAY)
    assert svg.count("<path") == 3
    texts = _texts(svg)
    assert [texts.count(number) for number in "123"] == [2, 2, 1], "the last deadline is far away"
    assert [one for one in texts if one.endswith("%")] == [
        f"{number}%" for number in range(0, 101, 20)
    ]
    assert {"1 May", "1 Jun"} <= set(texts), "such a date is read in one way only"
    assert {"1 मई", "1 जून"} <= set(_texts(trend(curves, DAY, "hi")))
    ends = re.findall(r'y="([\d.]+)"[^>]*font-weight="bold"', svg)
    assert len(ends) == 3
    heights = sorted(map(float, ends))
    assert all(other - one > 10 for one, other in pairwise(heights)), "no number covers another"


def test_bars_show_days_without_a_report_as_crosses() -> None:
    amounts = [120, None, 0, 2_500]
    days = [DayAmount(DAY + timedelta(days=number), one) for number, one in enumerate(amounts)]
    svg = bars(days, 800.0)
    heights = [float(one) for one in re.findall(r'<rect[^>]*height="([\d.]+)"', svg)]
    assert heights == pytest.approx([84 * 120 / 2_500, 84], abs=0.01)
    assert _texts(svg).count("×") == 1
    assert {"0", "1k", "2k"} <= set(_texts(svg))
    assert svg.count('stroke-dasharray="4 3"') == 1
    assert 'stroke-dasharray="4 3"' not in bars(days, None)
