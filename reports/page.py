"""The report as HTML: a page for a phone, which also prints on A4, and a card to forward.

Neither loads anything from outside.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import reference
from pravah.languages import Lang, Language
from pravah.units import state_of
from reports.charts import CURVE_COLOURS, Map, bars, choropleth, sparkline, trend
from reports.fonts import font_faces
from reports.headline import (
    MIN_FOR_PERCENT,
    changed,
    from_behind,
    furthest_behind,
    is_small,
    trouble,
)
from reports.labels import Labels, format_number, format_percent
from reports.situation import Child, MilestoneLine, Situation
from schemas.defaults import MAX_BAND_DAYS
from sinks.forecast import SHARE

# Rows that are not folded.
MAX_CHILDREN, MAX_OFFICES, MAX_UNUSUAL = 5, 6, 3
MAX_CARD_MILESTONES, MAX_CARD_CHILDREN = 4, 3
# Pixels; upright, since messengers show such an image whole.
CARD_SIZE = (1080, 1350)
STATES = ("done_on_time", "done_late", "overdue", "due")

# Code of a unit and language → address of its report.
Link: TypeAlias = Callable[[str, Language], str]

_MIN_CHILDREN_ON_MAP = 2
# A map of so few areas is small on paper.
_FEW_AREAS = 12
_FONTS_PLACEHOLDER = Markup("/* fonts */")

_TEMPLATES = Environment(
    loader=PackageLoader("reports"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)
_TEMPLATES.globals.update(
    number=format_number,
    percent=format_percent,
    max_band=MAX_BAND_DAYS,
    few_areas=_FEW_AREAS,
    min_for_percent=MIN_FOR_PERCENT,
)


@dataclass(frozen=True)
class Ranking:
    """The children furthest ahead and furthest behind, or all if they are few."""

    best: list[Child]
    worst: list[Child]
    """The furthest behind first; empty if `best` has all."""

    @classmethod
    def of(cls, children: Sequence[Child], limit: int) -> "Ranking":
        """At most `limit` children of each kind, of those from which anything is expected."""
        compared = [child for child in children if child.share is not None]
        if len(compared) <= 2 * limit:
            return cls(list(compared), [])
        return cls(list(compared[:limit]), list(reversed(compared[-limit:])))


@dataclass(frozen=True)
class Article:
    """What of a page is made for one language."""

    w: Labels
    changed: str
    trend: Markup | None
    bars: Markup | None
    map: Map | None

    @classmethod
    def of(cls, situation: Situation, labels: Labels) -> "Article":
        """Make the texts and charts of a report."""
        (language,) = labels.languages
        usual = next((one.usual for one in situation.amounts if one.figure == "members"), None)
        days = situation.member_days
        return cls(
            labels,
            changed(situation, language),
            trend(situation.curves, situation.day, language) if situation.curves else None,
            (bars(days, usual, language) if any(one.amount is not None for one in days) else None),
            _map(situation, language),
        )


def render_page(situation: Situation, lang: Lang, link: Link | None = None) -> str:
    """Render the page.

    Args:
        situation: the report.
        lang: of the page; with `both`, the reader switches between Hindi, English and both.
        link: code of a unit below and language → address of its report; None if it has none.
    """
    finished = _finished(situation.milestones)
    ranked = from_behind(situation.children)
    return _render(
        "page.html",
        situation,
        lang,
        articles=[Article.of(situation, labels) for labels in Labels(lang).each],
        trouble=trouble(situation),
        behind=furthest_behind(situation.children),
        small=is_small(situation),
        ranked=ranked,
        head=MAX_CHILDREN if len(ranked) > 2 * MAX_CHILDREN else len(ranked),
        link=link,
        day_of=None if situation.is_today else situation.day,
        finished=finished,
        open_milestones=[one for one in situation.milestones if one not in finished],
        offices=situation.offices,
        shown_offices=MAX_OFFICES,
        defaulters=situation.defaulters,
        more=situation.more_defaulters,
        unusual=situation.unusual[:MAX_UNUSUAL],
        unusual_count=len(situation.unusual) + situation.more_unusual,
        metrics={one.metric: one for one in situation.metrics},
        explained=situation.metrics[0].metric if situation.metrics else "members_digital",
        curve_colours=CURVE_COLOURS,
    )


def render_card(situation: Situation, lang: Lang) -> str:
    """Render the card: the essentials in type that is legible on a phone."""
    finished = _finished(situation.milestones)
    unfinished = [one for one in situation.milestones if one not in finished]
    small = is_small(situation)
    return _render(
        "card.html",
        situation,
        lang,
        shown=Ranking.of(situation.children, MAX_CARD_CHILDREN),
        milestones=_most_open(unfinished or situation.milestones),
        finished=len(finished) if unfinished else 0,
        trouble=trouble(situation),
        small=small,
        spark=None if small else sparkline(situation.shares),
        size=CARD_SIZE,
    )


def _finished(milestones: Sequence[MilestoneLine]) -> list[MilestoneLine]:
    return [one for one in milestones if one.done_on_time + one.done_late == one.expected]


def _render(template: str, situation: Situation, lang: Lang, **values: Any) -> str:
    labels = Labels(lang)
    html = _TEMPLATES.get_template(template).render(
        s=situation,
        w=labels,
        say=labels.say,
        states=STATES,
        goal=format_percent(SHARE, digits=0),
        fonts=_FONTS_PLACEHOLDER,
        **values,
    )
    return html.replace(_FONTS_PLACEHOLDER, font_faces(html), 1)


def _most_open(milestones: Sequence[MilestoneLine]) -> list[MilestoneLine]:
    """The milestones that fit on the card: those with most units open, in the plan's order."""
    chosen = sorted(milestones, key=lambda one: -(one.overdue + one.due))[:MAX_CARD_MILESTONES]
    return [one for one in milestones if one in chosen]


def _map(situation: Situation, language: Language) -> Map | None:
    boundaries = _boundaries(state_of(situation.unit) or "")
    if boundaries is None or len(situation.children) < _MIN_CHILDREN_ON_MAP:
        return None
    return choropleth(
        boundaries,
        situation.areas,
        {child.unit: child.share for child in situation.children},
        {child.unit: getattr(child, f"name_{language}") for child in situation.children},
    )


@lru_cache
def _boundaries(state: str) -> Mapping[str, Any] | None:
    path = reference.boundaries_file(state)
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))
