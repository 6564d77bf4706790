"""The page of a report: ten seconds for the first sentences, then the worst, then the rest."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from reports.headline import changed, furthest_behind, trouble
from reports.labels import Labels, phrase
from reports.page import MAX_CHILDREN, render_card, render_page
from reports.pdf import _measure_fill, render_paper
from reports.situation import Situation
from tests.support.report_sample import DAY, DISTRICTS, booth, forecast, state
from tests.support.weasy import weasyprint  # noqa: F401  # its import warns


def text_of(html: str) -> str:
    """What is read, without tags and style sheets, in one line."""
    html = re.sub(r"<style>.*?</style>|<title>.*?</title>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html).replace("&#34;", '"')).strip()


def say(situation: Situation, lang: str = "en") -> list[str]:
    return [phrase(one.key, lang, **one.values) for one in trouble(situation)]


def test_the_first_sentence_is_the_trouble_and_the_second_what_changed() -> None:
    situation = state()
    assert say(situation) == ["“trained”: 460 of 1,000 overdue, 9 days past the deadline."]
    assert say(situation, "hi") == [
        "“प्रशिक्षित”: 1,000 में से 460 बकाया, अंतिम तिथि 9 दिन पहले बीत चुकी है।"
    ]
    assert changed(situation, "en") == "Since yesterday: 70 done, 73.5% to 77.0% complete."
    evening = replace(situation, made_at=situation.made_at + timedelta(days=1))
    assert changed(evening, "en").startswith("Since the day before: ")
    assert changed(replace(situation, newly_done=0), "hi") == "कल से कुछ नहीं बदला।"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([0], ["Every milestone is done."]),
        (
            [0, 2],
            [
                "Nothing is overdue.",
                "The next deadline is 21 June 2022: “groups”, with 930 of 1,000 still to do.",
            ],
        ),
        ([], ["No milestone is expected of this unit."]),
    ],
)
def test_without_trouble_the_first_sentence_is_the_next_deadline(
    lines: list[int], expected: list[str]
) -> None:
    situation = state()
    milestones = [situation.milestones[number] for number in lines]
    assert say(replace(situation, milestones=milestones, overdue=0)) == expected


def test_other_overdue_milestones_are_counted_in_a_sentence_of_their_own() -> None:
    situation = state()
    late = replace(situation.milestones[2], overdue=1, due=929, days_left=-1)
    several = replace(situation, milestones=[*situation.milestones[:2], late], overdue=461)
    assert say(several)[1] == "1 more overdue with other milestones."


@pytest.mark.parametrize("lang", ["hi", "en"])
def test_the_page_says_the_trouble_then_the_worst_then_the_rest(lang: str) -> None:
    situation = state()
    html = render_page(situation, lang)
    text = text_of(html)
    labels = Labels(lang)
    worst = situation.children[-1]
    order = [
        say(situation, lang)[0],
        changed(situation, lang),
        labels.name(worst).striptags(),
        "(1,540 / 2,000)",
        "+919876543210",
        phrase("programme", lang),
        phrase("finished", lang, count=1),
        phrase("explain", lang),
    ]
    places = [text.index(one) for one in order]
    assert places == sorted(places), [*zip(order, places, strict=True)]
    folded = html[html.index(phrase("finished", lang, count=1)) :]
    assert folded.index(labels.name(situation.milestones[0])) < folded.index("</details>")


@pytest.mark.parametrize("lang", ["hi", "en", "both"])
def test_a_page_has_one_language_and_a_switch_if_there_are_two(lang: str) -> None:
    html = render_page(state(), lang)
    articles = re.findall(r'<article lang="(\w+)">(.*?)</article>', html, re.DOTALL)
    assert [language for language, _ in articles] == {"both": ["hi", "en"]}.get(lang, [lang])
    assert re.findall(r'<input type="radio"[^>]* id="lang-(\w+)"', html) == (
        ["hi", "en", "both"] if lang == "both" else []
    )
    for language, article in articles:
        if language == "en":
            assert not re.search(r"[\u0900-\u097f]", article)
        else:
            words = re.sub(r"<code>.*?</code>", "", article, flags=re.DOTALL)
            assert not set(re.findall(r"[A-Za-z]{3,}", text_of(words))) - {"Asha", "Sahu"}


def test_every_unit_below_is_reached_and_each_is_a_link() -> None:
    situation = state()
    html = render_page(situation, "en")
    for child in situation.children:
        row = html[html.index(f'id="en-{child.unit}"') :].partition("</details>")[0]
        assert f"pravah report --unit {child.unit}</code>" in row
        assert f"/v1/report?unit={child.unit}</code>" in row
    assert len(re.findall(r'class="child"', html)) == DISTRICTS
    first = html.partition('<details class="more">')[0]
    assert len(re.findall(r'class="child"', first)) == MAX_CHILDREN
    linked = render_page(situation, "en", lambda unit, lang: f"?unit={unit}&lang={lang}")
    assert linked.count('<a href="?unit=CG-D-') == DISTRICTS
    assert '<a href="?unit=CG-D-007&amp;lang=en">' in linked
    assert [one.unit for one in furthest_behind(situation.children)] == [
        "CG-D-032",
        "CG-D-031",
        "CG-D-030",
    ]


def test_units_that_are_equally_far_behind_are_counted_and_not_named() -> None:
    situation = state()
    ahead, *others = situation.children
    tied = [replace(one, expected=1, done=0, overdue=1, share=0.0) for one in others]
    assert furthest_behind([ahead, *tied]) == []
    assert furthest_behind([ahead, *tied[:3]]) == tied[:3]
    assert furthest_behind(tied) == furthest_behind([ahead]) == furthest_behind([]) == []
    idle = replace(situation, children=[ahead, *tied], idle_children=len(tied))
    text = text_of(render_page(idle, "en"))
    assert "Furthest behind:" not in text
    assert "32 units have done nothing yet." in text
    assert "0 / 1" in text
    assert not re.search(r"\b0\.0%", text)


@pytest.mark.parametrize(
    ("days", "outlook", "expected"),
    [
        ((5, 330), "forecast", "At this pace 80% not before 14 June 2022"),
        ((5, None), "forecast", "At this pace 80% not before 14 June 2022"),
        ((5, 25), "forecast", "At this pace 80% between 14 June 2022 and 4 July 2022"),
        ((5, 5), "forecast", "At this pace 80% by 14 June 2022"),
        ((5, 5), "not_in_sight", "At this pace 80% will not be reached within a year"),
        ((5, 5), "too_little", None),
    ],
)
def test_a_wide_forecast_says_not_before(
    days: tuple[int, int | None], outlook: str, expected: str | None
) -> None:
    first, last = (None if one is None else DAY + timedelta(days=one) for one in days)
    situation = state()
    line = replace(situation.milestones[2], forecast=forecast(first, last, outlook))
    text = text_of(render_page(replace(situation, milestones=[line]), "en"))
    found = re.findall(r"At this pace .*?(?= Membership)", text)
    assert found == ([] if expected is None else [expected])


def test_a_booth_with_one_milestone_shows_no_percentage() -> None:
    for html in (render_page(booth(), "en"), render_card(booth(), "en")):
        text = text_of(html)
        assert "“trained” is 9 days overdue." in text
        assert "%" not in text
        assert 'class="big"' not in html


@pytest.mark.parametrize("situation", [state(), booth()])
def test_every_page_says_how_a_figure_is_explained(situation: Situation) -> None:
    html = render_page(situation, "hi")
    query = f"unit={situation.unit}&amp;metric=members_digital&amp;day=2022-06-09"
    assert f"/v1/explain?{query}" in html
    assert f"pravah explain --unit {situation.unit} --metric members_digital" in html


def test_without_contacts_the_office_is_named_and_the_page_says_that_names_are_missing() -> None:
    text = text_of(render_page(state(contacts=False), "en"))
    assert "Kasdol : assembly in-charge" in text.replace("Kasdol:", "Kasdol :")
    assert "Names and phone numbers are not in this report." in text
    assert "+91" not in text


@pytest.mark.parametrize("lang", ["hi", "en", "both"])
def test_the_card_has_yesterday_and_a_trend(lang: str) -> None:
    html = render_card(state(), lang)
    text = text_of(html)
    for one in Labels(lang).each:
        assert say(state(), one.lang)[0] in text
        assert f"73.5% {one.say('yesterday').striptags()}" in text or lang == "both"
        assert phrase("finished", one.lang, count=1) in text
    assert "73.5%" in text
    assert "287" in text, "members of the day before"
    assert html.count("<circle") == 1


@pytest.mark.parametrize("lines", [40, 62, 80, 110, 130])
def test_the_last_page_of_a_pdf_is_not_mostly_empty(lines: int) -> None:
    """A page of A4 has some 58 of these lines."""
    style = "@page { margin: 12mm } p { margin: 0; font-size: 10pt; line-height: 1.31 }"
    html = f"<style>{style}</style>" + "<p>line</p>" * lines
    pages, fill = _measure_fill(render_paper([html]))
    assert pages <= 1 + lines // 58
    assert fill > 0.45 or pages == 1
