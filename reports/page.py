"""The report as HTML: a page for a phone, which also prints on A4, and a card to forward.

Neither loads anything from outside.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import reference
from pravah.units import state_of
from reports.charts import CURVE_COLOURS, Map, bars, choropleth, trend
from reports.fonts import font_faces
from reports.labels import Labels, Lang, format_number, format_percent
from reports.situation import Child, MilestoneLine, Situation
from sinks.forecast import SHARE

MAX_CHILDREN, MAX_DEFAULTERS, MAX_UNUSUAL = 5, 6, 3
MAX_CARD_MILESTONES, MAX_CARD_CHILDREN = 9, 3
# Pixels; upright, since messengers show such an image whole.
CARD_SIZE = (1080, 1350)
STATES = ("done_on_time", "done_late", "overdue", "due")

_MIN_CHILDREN_ON_MAP = 2
_FONTS_PLACEHOLDER = Markup("/* fonts */")

_TEMPLATES = Environment(
    loader=PackageLoader("reports"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)
_TEMPLATES.globals.update(number=format_number, percent=format_percent)


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


def render_page(situation: Situation, lang: Lang) -> str:
    """Render the page."""
    usual = next((one.usual for one in situation.amounts if one.figure == "members"), None)
    return _render(
        "page.html",
        situation,
        lang,
        shown=Ranking.of(situation.children, MAX_CHILDREN),
        defaulters=situation.defaulters[:MAX_DEFAULTERS],
        more=situation.overdue - len(situation.defaulters[:MAX_DEFAULTERS]),
        unusual=situation.unusual[:MAX_UNUSUAL],
        unusual_count=len(situation.unusual) + situation.more_unusual,
        metrics={one.metric: one for one in situation.metrics},
        trend=trend(situation.curves, situation.day) if situation.curves else None,
        curve_colours=CURVE_COLOURS,
        bars=(
            bars(situation.member_days, usual)
            if any(one.amount is not None for one in situation.member_days)
            else None
        ),
        map=_map(situation),
    )


def render_card(situation: Situation, lang: Lang) -> str:
    """Render the card: the essentials in type that is legible on a phone."""
    return _render(
        "card.html",
        situation,
        lang,
        shown=Ranking.of(situation.children, MAX_CARD_CHILDREN),
        milestones=_most_open(situation.milestones),
        size=CARD_SIZE,
    )


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


def _map(situation: Situation) -> Map | None:
    boundaries = _boundaries(state_of(situation.unit) or "")
    if boundaries is None or len(situation.children) < _MIN_CHILDREN_ON_MAP:
        return None
    return choropleth(
        boundaries, situation.areas, {child.unit: child.share for child in situation.children}
    )


@lru_cache
def _boundaries(state: str) -> Mapping[str, Any] | None:
    path = reference.boundaries_file(state)
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))
