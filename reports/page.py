"""The report as one page of HTML for a phone, which also prints on A4, and as a card. Neither asks for anything from outside."""

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
from reports.labels import Tongue, Words, indian, percent
from reports.situation import Child, MilestoneLine, Situation
from sinks.forecast import SHARE

SHOWN_CHILDREN, SHOWN_DEFAULTERS, SHOWN_UNUSUAL = 5, 6, 3
CARD_MILESTONES, CARD_CHILDREN = 9, 3
CARD_SIZE = (1080, 1350)
"""Pixels of the card: upright, as messengers show it whole."""
STATES = ("done_on_time", "done_late", "overdue", "due")
_FONTS = Markup("/* fonts */")

_TEMPLATES = Environment(
    loader=PackageLoader("reports"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)
_TEMPLATES.globals.update(indian=indian, percent=percent)


@dataclass(frozen=True)
class Shown:
    """Of the children: the furthest ahead and the furthest behind, or all if they are few."""

    best: list[Child]
    worst: list[Child]

    @classmethod
    def of(cls, children: Sequence[Child], most: int) -> "Shown":
        """So many of each, of those of whom anything is expected; the furthest behind first."""
        compared = [child for child in children if child.share is not None]
        if len(compared) <= 2 * most:
            return cls(list(compared), [])
        return cls(list(compared[:most]), list(reversed(compared[-most:])))


def page(situation: Situation, tongue: Tongue) -> str:
    """The page."""
    map_ = _map(situation)
    usual = next((one.usual for one in situation.amounts if one.figure == "members"), None)
    return _rendered(
        "page.html",
        situation,
        tongue,
        shown=Shown.of(situation.children, SHOWN_CHILDREN),
        defaulters=situation.defaulters[:SHOWN_DEFAULTERS],
        more=situation.overdue - len(situation.defaulters[:SHOWN_DEFAULTERS]),
        unusual=situation.unusual[:SHOWN_UNUSUAL],
        unusual_count=len(situation.unusual) + situation.more_unusual,
        metrics={one.metric: one for one in situation.metrics},
        trend=trend(situation.curves, situation.day) if situation.curves else None,
        curve_colours=CURVE_COLOURS,
        bars=(
            bars(situation.member_days, usual)
            if any(one.amount is not None for one in situation.member_days)
            else None
        ),
        map=map_,
    )


def card(situation: Situation, tongue: Tongue) -> str:
    """The card: the essentials, in type that can be read on a phone."""
    shown = Shown.of(situation.children, CARD_CHILDREN)
    return _rendered(
        "card.html",
        situation,
        tongue,
        shown=shown,
        milestones=_telling(situation.milestones),
        size=CARD_SIZE,
    )


def _rendered(template: str, situation: Situation, tongue: Tongue, **values: Any) -> str:
    words = Words(tongue)
    html = _TEMPLATES.get_template(template).render(
        s=situation,
        w=words,
        say=words.say,
        states=STATES,
        goal=percent(SHARE, digits=0),
        fonts=_FONTS,
        **values,
    )
    return html.replace(_FONTS, font_faces(html), 1)


def _telling(milestones: Sequence[MilestoneLine]) -> list[MilestoneLine]:
    """Those that fit on the card: where most is open, in the plan's order."""
    most = sorted(milestones, key=lambda one: -(one.overdue + one.due))[:CARD_MILESTONES]
    return [one for one in milestones if one in most]


def _map(situation: Situation) -> Map | None:
    boundaries = _boundaries(state_of(situation.unit) or "")
    if boundaries is None or len(situation.children) < 2:  # noqa: PLR2004
        return None
    return choropleth(
        boundaries, situation.areas, {child.unit: child.share for child in situation.children}
    )


@lru_cache
def _boundaries(state: str) -> Mapping[str, Any] | None:
    path = reference.boundaries_file(state)
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))
