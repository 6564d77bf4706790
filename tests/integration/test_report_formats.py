"""The situation report's formats, its command, and its path in the API."""

import dataclasses
import io
import json
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser

import orjson
import pypdfium2
import pytest
from fastapi.testclient import TestClient
from fontTools.ttLib import TTFont
from openpyxl import load_workbook
from PIL import Image
from typer.testing import CliRunner

from api.app import build
from cli.main import app
from pravah.settings import Settings
from reports.facts import read_situation
from reports.fonts import FAMILIES
from reports.formats import render
from reports.labels import LANGS, format_percent
from reports.page import CARD_SIZE, render_card, render_page
from reports.situation import Situation
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from tests.support import small_world
from tests.support.deployment import Deployment
from tests.support.report_world import LOOKED_AT, PHONE, deploy_report_world

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment with random events, shared by tests that only read."""
    with deploy_report_world(services, tmp_path_factory.mktemp("report")) as made:
        yield made


@pytest.fixture(scope="module")
def state(deployment: Deployment) -> Situation:
    """The state's report, with whom to call."""
    return read_situation(deployment.clickhouse, "CG", LOOKED_AT, contacts=True)


class Reader(HTMLParser):
    """Parses a page, and fails on a tag that is not closed."""

    EMPTY = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
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
        self.ids += [value for name, value in attrs if name == "id"]
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
        assert [link for link in read.links if not link.startswith(("tel:", "#"))] == []
        assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
        assert len(read.ids) == len(set(read.ids))
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


def test_any_unit_on_any_day_has_a_page_and_a_card(deployment: Deployment) -> None:
    """A booth, a unit not open on the day, one without reports, a day before the plan, today."""
    cases = [
        ("CG-AC001-B0001", LOOKED_AT),
        ("CG-AC001-B0004", LOOKED_AT),
        ("CG-D-D", small_world.FIRST_DAY),
        ("CG-V-S", date(2019, 1, 1)),
        ("IN", None),
    ]
    for unit, day in cases:
        found = read_situation(deployment.clickhouse, unit, day)
        Reader(render_page(found, "both"))
        Reader(render_card(found, "both"))
        assert load_workbook(io.BytesIO(render(found, "xlsx", "both"))).sheetnames
    booth = read_situation(deployment.clickhouse, *cases[1])
    assert not booth.open
    assert len(render(booth, "pdf", "both")) > 1000


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
    assert unknown.exit_code == 2
    assert "CG-D-XX is not in the registry" in unknown.output


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
        assert get("persons").headers["etag"] != tag, "its tag follows the contacts too"
        assert get("figures").status_code == 403
        for unit in ("CG", "CG-D-B", "CG-AC001-B0003", "CG-D-X"):
            assert get("plain", unit=unit).status_code == 403, unit
        assert get("plain", unit="CG-AC001-B0002").status_code == 403, (
            "it stood in district A, but no longer does on that day"
        )
        assert get("plain", unit="CG-AC001-B0002", date=small_world.on(10)).status_code == 200
        future = get("plain", date="2149-01-01")
        assert (future.status_code, future.headers["content-type"]) == (
            400,
            "application/problem+json",
        )
        assert get("plain", format="doc").status_code == 400
