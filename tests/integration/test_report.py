"""The situation report: its figures are those of the oracle, it shows nobody more than they may see, and every form of it can be read."""

import base64
import dataclasses
import io
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from statistics import median

import orjson
import pypdfium2
import pytest
import weasyprint
from fastapi.testclient import TestClient
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from PIL import Image
from typer.testing import CliRunner

import reference
from api.app import build
from cli.main import app
from operations.bootstrap import prepare
from operations.registry import read_registry_files
from pravah.days import day_of
from pravah.settings import Settings
from reports.boundaries import dissolve
from reports.charts import choropleth
from reports.facts import FutureDayError, OutOfScopeError, read_situation
from reports.fonts import FAMILIES, font_faces
from reports.formats import render
from reports.labels import LANGS, PHRASES, format_number, format_percent, phrase
from reports.page import CARD_SIZE, render_card, render_page
from reports.situation import FLOWS, USUAL_DAYS, Situation
from schemas.access import DATA_KINDS
from schemas.contacts import Contact
from sinks.api_tokens import create_token
from sinks.control_room import load_contacts
from sinks.migrate import Schema
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

PHONE = "+919876543210"
DAYS = {
    name: small_world.FIRST_DAY + timedelta(days=number)
    for name, number in (("before B moves", 15), ("D begins", 30), ("late", 130))
}
LOOKED_AT = DAYS["late"]
WORDS = ("शिक्षण", "प्रशिक्षण", "संभाग", "ज़िला", "नियुक्ति")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def events() -> list[dict]:
    """What the plan waits for, and memberships and posts on some of the days up to the last one looked at."""
    choose = random.Random(23)
    found = [any_event(choose) for _ in range(400)]
    for number in range(500):
        unit, first, last = choose.choice(
            [
                ("CG-AC001-B0001", 0, 130),
                ("CG-AC001-B0002", 0, 130),
                ("CG-AC001-B0003", 0, 130),
                ("CG-AC001-B0004", 0, 40),
                ("CG", 0, 130),
            ]
        )
        kind, data = choose.choice(
            [
                (
                    "membership",
                    {"mode": choose.choice(["manual", "digital"]), "count": choose.randrange(9)},
                ),
                (
                    "social_post",
                    {
                        "platform": choose.choice(["facebook", "twitter"]),
                        "posts": choose.randrange(4),
                        "reach": choose.randrange(900),
                    },
                ),
            ]
        )
        at = small_world.on(choose.randint(first, last))
        found.append(
            {
                "event_id": f"10000000-0000-4000-8000-{number:012x}",
                "unit": unit,
                "kind": kind,
                "data": data,
                "occurred_at": f"{at}T10:00:00+05:30",
                "verification": choose.choice(["unverified", "verified"]),
                "source": {"tool": "test", "producer": "report"},
            }
        )
    return found


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One with random events in it, for all tests here: they only read."""
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    fold(services.clickhouse, small_world.registry(), events())
    made = Deployment(services, tmp_path_factory.mktemp("report"))
    contacts = [
        Contact(unit=unit, role="in-charge", name="Asha Sahu", phone=PHONE, language="hi")
        for unit in ("CG", "CG-D-A", "CG-AC001", "CG-AC001-B0001")
    ]
    load_contacts(made.clickhouse, Schema(services.clickhouse.database), contacts)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("units")))


@pytest.fixture(scope="module")
def state(deployment: Deployment) -> Situation:
    """The state's report, with whom to call."""
    return read_situation(deployment.clickhouse, "CG", LOOKED_AT, contacts=True)


@pytest.mark.parametrize(
    ("unit", "when"),
    [
        ("IN", "late"),
        ("CG", "D begins"),
        ("CG-V-N", "before B moves"),
        ("CG-V-N", "D begins"),
        ("CG-D-A", "D begins"),
        ("CG-D-D", "before B moves"),
        ("CG-AC001", "before B moves"),
        ("CG-AC001", "late"),
        ("CG-AC001-B0001", "late"),
        ("CG-AC001-B0004", "late"),
        ("CG-D-C", "before B moves"),
    ],
)
def test_every_figure_is_the_oracles(
    deployment: Deployment, hierarchy: oracle.Hierarchy, unit: str, when: str
) -> None:
    day = DAYS[when]
    found = read_situation(deployment.clickhouse, unit, day)
    assert found.open == hierarchy.is_open(unit, day)
    if not found.open:
        assert (found.milestones, found.amounts, found.children, found.defaulters) == (
            [],
            [],
            [],
            [],
        )
        return
    status = oracle.plan_status(oracle.completion_days(events()), hierarchy, day)
    yesterday = oracle.plan_status(
        oracle.completion_days(events()), hierarchy, day - timedelta(days=1)
    )
    progress = oracle.plan_progress(status, hierarchy, day)
    below = {one for one in hierarchy.levels if unit in hierarchy.ancestors(one, day).values()}
    assert {
        one.milestone: {name: getattr(one, name) for name in oracle.STATES}
        for one in found.milestones
    } == {
        milestone: counts for (milestone, ancestor), counts in progress.items() if ancestor == unit
    }
    for line in found.milestones:
        own = {
            one: state
            for (milestone, one), state in status.items()
            if milestone == line.milestone and one in below
        }
        assert line.newly_done == sum(done == day for _, done in own.values())
        became = [
            one
            for one, (now, _) in own.items()
            if now == "overdue" and yesterday.get((line.milestone, one), ("due", None))[0] == "due"
        ]
        assert line.newly_overdue == (
            len(became) if oracle.DEADLINES[line.milestone] == day - timedelta(days=1) else 0
        )
        assert line.forecast is None or line.forecast.expected == line.expected
    passed = {
        key: state
        for key, (state, _) in status.items()
        if oracle.DEADLINES[key[0]] < day or found.basis == "everything"
    }
    assert found.basis == (
        "due_by_now"
        if any(oracle.DEADLINES[one.milestone] < day for one in found.milestones)
        else "everything"
    )
    assert (found.expected, found.done) == (
        sum(key[1] in below for key in passed),
        sum(key[1] in below and state.startswith("done") for key, state in passed.items()),
    )
    for child in found.children:
        own = [
            state
            for (_, one), state in passed.items()
            if one in below and child.unit in hierarchy.ancestors(one, day).values()
        ]
        assert (child.expected, child.done, child.overdue) == (
            len(own),
            sum(one.startswith("done") for one in own),
            own.count("overdue"),
        )
    expected_children = {
        line[found.child_level]
        for one in below
        if found.child_level in (line := hierarchy.ancestors(one, day))
    }
    assert {child.unit for child in found.children} == expected_children
    assert [one.about.unit for one in found.defaulters if one.about.unit not in below] == []
    assert len(found.defaulters) + found.more_defaulters == sum(
        state == "overdue" for (_, one), (state, _) in status.items() if one in below
    )
    assert all(one.call is None for one in found.defaulters)
    assert [one.unit for one in found.above] == [
        ancestor
        for _, ancestor in sorted(
            hierarchy.ancestors(unit, day).items(),
            key=lambda pair: -oracle.LEVEL_ORDER.index(pair[0]),
        )
        if ancestor != unit
    ]
    _check_amounts(found, oracle.figures(events(), hierarchy), day)


def _check_amounts(found: Situation, figures: oracle.Figures, day: date) -> None:
    own = {
        (on, metric): value
        for (on, _, one, metric), value in figures.items()
        if one == found.unit and on <= day
    }
    assert {one.figure for one in found.amounts} == {
        name for name, metrics in FLOWS.items() if any(metric in metrics for _, metric in own)
    }
    for amount in found.amounts:
        metrics = FLOWS[amount.figure]
        by_day = {
            on: sum(
                value
                for (then, metric), (value, _) in own.items()
                if then == on and metric in metrics
            )
            for on in {on for on, metric in own if metric in metrics}
        }
        assert amount.today == by_day.get(day), "nothing reported is None, not zero"
        assert amount.to_date == sum(by_day.values())
        assert amount.verified_to_date == sum(
            verified for (_, metric), (_, verified) in own.items() if metric in metrics
        )
        before = [
            day - timedelta(days=number)
            for number in range(1, USUAL_DAYS + 1)
            if day - timedelta(days=number) >= min(by_day)
        ]
        assert amount.usual == (
            median(by_day.get(one, 0) for one in before) if len(before) >= 7 else None
        )
        if amount.figure == "members":
            assert {one.day: one.amount for one in found.member_days} == {
                one.day: by_day.get(one.day) for one in found.member_days
            }
            assert found.member_days[-1].day == day
            assert (found.members.members if found.members else 0) == amount.to_date
    for metric in found.metrics:
        values = {on: value for (on, name), value in own.items() if name == metric.metric}
        expected = (
            values[max(values)]
            if metric.is_stock
            else tuple(map(sum, zip(*values.values(), strict=True)))
        )
        assert (metric.to_date, metric.verified_to_date) == expected


def test_a_reader_sees_only_what_stood_in_their_subtree_that_day(
    deployment: Deployment, hierarchy: oracle.Hierarchy
) -> None:
    """Assembly 1 belongs to district A, its booth 3 to district B; booth 2 goes to district D on day 30."""
    client, day = deployment.clickhouse, small_world.FIRST_DAY + timedelta(days=40)
    of_a = read_situation(client, "CG-AC001", LOOKED_AT, within="CG-D-A")
    assert {child.unit for child in of_a.children} == {"CG-AC001-B0001"}
    assert {one.about.unit for one in of_a.defaulters} <= {"CG-AC001", "CG-AC001-B0001"}
    assert {one.unit for one in of_a.unusual} <= {"CG-AC001", "CG-AC001-B0001"}
    of_d = read_situation(client, "CG-AC001-B0002", day, within="CG-D-D")
    begins = small_world.FIRST_DAY + timedelta(days=30)
    figures = oracle.figures(events(), hierarchy).items()
    own = [
        (on, value)
        for (on, _, unit, metric), (value, _) in figures
        if unit == "CG-AC001-B0002" and metric in FLOWS["posts"]
    ]
    (posts,) = [one.to_date for one in of_d.amounts if one.figure == "posts"]
    assert posts == sum(value for on, value in own if begins <= on <= day)
    assert posts < sum(value for on, value in own if on <= day)
    assert all(one.amount is None for one in of_d.member_days if one.day < begins)
    with pytest.raises(OutOfScopeError, match="CG-AC001-B0002"):
        read_situation(client, "CG-AC001-B0002", begins - timedelta(days=1), within="CG-D-D")
    with pytest.raises(FutureDayError):
        read_situation(client, "CG", date(2149, 1, 1))
    with pytest.raises(LookupError, match="CG-D-X"):
        read_situation(client, "CG-D-X", day)


class Reader(HTMLParser):
    """What a page is made of; fails on a tag that is not closed."""

    EMPTY = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.metas: list[dict] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.links += [
            value
            for name, value in attrs
            if name in {"src", "href", "xlink:href", "action", "srcset", "data"}
        ]
        if tag == "meta":
            self.metas.append(dict(attrs))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        if tag not in self.EMPTY:
            self.handle_starttag(tag, attrs)
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize("lang", LANGS)
def test_the_page_stands_alone_and_every_sign_has_a_glyph(state: Situation, lang: str) -> None:
    characters = {ord(one) for script in FAMILIES for one in _covered(script)}
    for html in (render_page(state, lang), render_card(state, lang)):
        read = Reader(html)
        assert [link for link in read.links if not link.startswith("tel:")] == []
        assert [
            url
            for url in re.findall(r"url\(([^)]*)", html)
            if not url.startswith(('"data:font/woff2;base64,', "#"))
        ] == []
        assert "@import" not in html
        assert "<script" not in html
        shown = {ord(one) for one in read.text if not one.isspace()}
        assert {chr(one) for one in shown - characters} == set()
        assert ("छत्तीसगढ़" in read.text, "Chhattisgarh" in read.text) == (
            lang != "en",
            lang != "hi",
        )
        assert "None" not in read.text
    read = Reader(render_page(state, lang))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.metas
    assert format_percent(state.share) in read.text
    for line in state.milestones:
        assert format_percent(line.share) in read.text
        assert (line.name_hi in read.text, line.name_en in read.text) == (
            lang != "en",
            lang != "hi",
        )
    assert PHONE in read.text


def _covered(script: str) -> set[str]:
    path = f"reports/fonts/noto-sans-devanagari-{script}-400-normal.woff2"
    with TTFont(path) as font:
        return {chr(one) for one in font.getBestCmap()}


def test_names_are_text_and_nothing_else(state: Situation) -> None:
    spoilt = dataclasses.replace(
        state,
        name_en="<script>x</script>",
        children=[dataclasses.replace(one, name_hi='"><img src=x>') for one in state.children],
    )
    for html in (render_page(spoilt, "both"), render_card(spoilt, "both")):
        assert "<script" not in html
        assert "<img" not in html
        Reader(html)


def test_the_five_forms_open_and_say_the_same(state: Situation) -> None:
    data = json.loads(render(state, "json", "both"))
    assert (data["unit"], data["day"], data["overdue"], len(data["milestones"])) == (
        "CG",
        state.day.isoformat(),
        state.overdue,
        len(state.milestones),
    )
    assert render(state, "html", "hi").decode().startswith("<!doctype html>")
    document = pypdfium2.PdfDocument(render(state, "pdf", "both"))
    assert len(document) <= 2
    assert document[0].get_size() == pytest.approx((595.28, 841.89), abs=0.1)
    text = "".join(one.get_textpage().get_text_bounded() for one in document)
    for line in state.milestones:
        assert line.name_en.split()[0] in text
        assert format_percent(line.share) in text
    assert "Asha Sahu" in text
    fonts = {
        one.get_font().get_base_name()
        for sheet in document
        for one in sheet.get_objects([pypdfium2.raw.FPDF_PAGEOBJ_TEXT])
    }
    names = {re.sub(r"^[A-Z]{6}\+", "", name) for name in fonts}
    assert names == {
        f"{family.replace(' ', '-')}{bold}"
        for family in FAMILIES.values()
        for bold in ("", "-Bold")
    }
    document.close()
    image = Image.open(io.BytesIO(render(state, "png", "hi")))
    assert image.size == CARD_SIZE
    assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    book = load_workbook(io.BytesIO(render(state, "xlsx", "both")))
    assert book.sheetnames == [
        "Where the programme stands",
        "Districts",
        "Overdue units",
        "Figures",
    ]
    assert all(sheet.freeze_panes == "B4" for sheet in book)
    assert [
        [cell.value for cell in row[5:10]] for row in book.worksheets[0].iter_rows(min_row=4)
    ] == [
        [one.expected, one.done_on_time, one.done_late, one.overdue, one.due]
        for one in state.milestones
    ]
    assert [row[0].value for row in book.worksheets[1].iter_rows(min_row=4)] == [
        one.unit for one in state.children
    ]
    assert book.worksheets[1]["D4"].number_format == "0.0%"
    assert [row[6].value for row in book.worksheets[2].iter_rows(min_row=4)] == [
        one.about.days_overdue for one in state.defaulters
    ]
    assert {row[11].value for row in book.worksheets[2].iter_rows(min_row=4)} == {PHONE, None}


def test_devanagari_is_shaped() -> None:
    """In the PDF's own glyph numbers: conjuncts are fewer glyphs than signs, a short i stands before its consonant, and nothing is missing."""
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


def test_any_unit_on_any_day_has_a_page_and_a_card(deployment: Deployment) -> None:
    """A booth, a unit that has begun or ended, one that never reported, a day before the plan, today."""
    asked = [
        ("CG-AC001-B0001", LOOKED_AT),
        ("CG-AC001-B0004", LOOKED_AT),
        ("CG-D-D", small_world.FIRST_DAY),
        ("CG-V-S", date(2019, 1, 1)),
        ("IN", None),
    ]
    for unit, day in asked:
        found = read_situation(deployment.clickhouse, unit, day)
        Reader(render_page(found, "both"))
        Reader(render_card(found, "both"))
        assert load_workbook(io.BytesIO(render(found, "xlsx", "both"))).sheetnames
    booth = read_situation(deployment.clickhouse, *asked[1])
    assert not booth.open
    assert len(render(booth, "pdf", "both")) > 1000


def test_every_phrase_says_the_same_things_in_both_languages() -> None:
    for key, pair in PHRASES.items():
        hindi, english = (set(re.findall(r"\{(\w+)\}", text)) for text in pair)
        assert hindi == english, key
        assert not re.search(r"[a-z]", re.sub(r"\{\w+\}", "", pair[0])), key
        assert not re.search(r"[\u0900-\u097f]", pair[1]), key
    assert phrase("by_day", "hi", day=date(2022, 6, 30)) == "30 जून 2022 तक"
    assert phrase("by_day", "en", day=date(2022, 6, 30)) == "By 30 June 2022"


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


def test_the_command_writes_what_the_ending_says(
    deployment: Deployment, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner(env={**deployment.environment(), "COLUMNS": "200"})
    day = LOOKED_AT.isoformat()
    for form in ("html", "xlsx", "json"):
        result = run.invoke(app, ["report", "--date", day, "--to", f"one.{form}", "--lang", "hi"])
        assert result.exit_code == 0, result.output
        assert PHONE.encode() not in (tmp_path / f"one.{form}").read_bytes()
    assert run.invoke(app, ["report", "--unit", "CG-D-A", "--date", day]).exit_code == 0
    assert PHONE not in (tmp_path / f"report-CG-D-A-{day}.html").read_text(encoding="utf-8")
    shown = run.invoke(app, ["report", "--date", day, "--format", "json", "--with-contacts"])
    assert orjson.loads(shown.stdout)["unit"] == "CG"
    assert PHONE in shown.stdout
    for wrong, code in (
        (["--to", "one.doc"], 2),
        (["--date", "30.6.2022"], 2),
        (["--date", "2149-01-01"], 2),
        (["--lang", "fr"], 2),
        (["--to", "no/such.html"], 2),
    ):
        assert run.invoke(app, ["report", *wrong]).exit_code == code, wrong
    unknown = run.invoke(app, ["report", "--unit", "CG-D-XX"])
    assert isinstance(unknown.exception, LookupError)


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


def test_the_api_gives_a_token_its_own_subtree_and_persons_only_to_those_who_may_know(
    deployment: Deployment,
) -> None:
    kinds = {"plain": ("figures", "plan"), "persons": DATA_KINDS, "figures": ("figures",)}
    secrets = {
        name: create_token(
            deployment.clickhouse, name=f"report {name}", unit="CG-D-A", kinds=some, days=1
        )
        for name, some in kinds.items()
    }
    with TestClient(
        build(deployment.settings.model_copy(update={"api_rate": "100000/minute"})),
        raise_server_exceptions=False,
    ) as client:

        def get(token: str, accept: str = "*/*", tag: str = "", **parameters: object):
            headers = {
                "Authorization": f"Bearer {secrets[token]}",
                "Accept": accept,
                **({"If-None-Match": tag} if tag else {}),
            }
            return client.get(
                "/v1/report", params={"date": LOOKED_AT.isoformat(), **parameters}, headers=headers
            )

        for form, begins in (
            ("json", b"{"),
            ("html", b"<!doctype html>"),
            ("pdf", b"%PDF"),
            ("png", b"\x89PNG"),
            ("xlsx", b"PK"),
        ):
            answer = get("plain", format=form, lang="hi")
            assert answer.status_code == 200, answer.text
            assert answer.content.startswith(begins)
            assert PHONE.encode() not in answer.content
        assert (
            get("plain", accept="text/html,application/xhtml+xml,*/*;q=0.8").headers["content-type"]
            == "text/html; charset=utf-8"
        )
        assert get("plain", accept="image/*").headers["content-type"] == "image/png"
        assert get("plain", accept="text/csv").status_code == 406
        found = get("plain").json()
        assert (found["unit"], found["day"]) == ("CG-D-A", LOOKED_AT.isoformat())
        own = read_situation(deployment.clickhouse, "CG-D-A", LOOKED_AT)
        assert found["milestones"] == json.loads(orjson.dumps(own.milestones))
        assert get("plain", unit="CG-AC001").json()["children"] == json.loads(
            orjson.dumps(
                read_situation(
                    deployment.clickhouse, "CG-AC001", LOOKED_AT, within="CG-D-A"
                ).children
            )
        )
        tag = get("plain").headers["etag"]
        assert get("plain", tag=tag).status_code == 304
        assert get("plain", tag=tag, lang="en").status_code == 200
        assert PHONE in get("persons").text
        assert "etag" not in get("persons").headers
        assert get("figures").status_code == 403
        for unit in ("CG", "CG-D-B", "CG-AC001-B0003", "CG-D-X"):
            assert get("plain", unit=unit).status_code == 403, unit
        assert get("plain", unit="CG-AC001-B0002").status_code == 403, (
            "it stood in district A, but no longer does on that day"
        )
        assert get("plain", unit="CG-AC001-B0002", date=small_world.on(10)).status_code == 200
        future = get("plain", date="2149-01-01")
        assert (future.status_code, future.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
        assert get("plain", format="doc").status_code == 422
