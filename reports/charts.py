"""Trend, bars and map as SVG. There are digits in them and no words: words stand beside them, where a browser and WeasyPrint set Devanagari right.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and no colour says anything alone: curves are numbered and dashed, areas carry their share.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from math import ceil, cos, floor, radians
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from reports.boundaries import joined
from reports.fonts import FAMILIES
from reports.situation import Curve, DayAmount

BLUE, SKY, VERMILION, GREY, INK = "#0072B2", "#56B4E9", "#D55E00", "#c9c9c9", "#222222"
CURVE_COLOURS = (BLUE, VERMILION, "#009E73")
CURVE_DASHES = ([1, 0], [6, 3], [2, 2])
SHADES = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""From the lowest to the highest."""
_WHITE_FROM = 3
"""From this shade on labels are white."""
WIDTH = 340
_TALLEST = 1.25
_LEAST_SPAN = 0.1
_THOUSAND = 1000
_LAST_DAYS_AFTER = timedelta(days=45)
_numbers = count()


def trend(curves: Sequence[Curve], day: date) -> Markup:
    """Shares by day, each curve numbered at its end, with an upright line at each deadline."""
    rows = [
        {
            "day": (one.first + timedelta(days=number)).isoformat(),
            "share": round(share, 4),
            "curve": str(position),
        }
        for position, one in enumerate(curves, 1)
        for number, share in enumerate(one.shares)
    ]
    first, last = (
        curves[0].first,
        max([day, *(one.deadline for one in curves if one.deadline <= day + _LAST_DAYS_AFTER)]),
    )
    begun = next(
        (
            number
            for number in range(len(curves[0].shares))
            if any(one.shares[number] for one in curves)
        ),
        0,
    )
    first = min(first + timedelta(days=max(begun - 7, 0)), day - timedelta(days=14))
    rows = [row for row in rows if str(row["day"]) >= first.isoformat()]
    scale = alt.Scale(domain=[_time(first), _time(last)])
    names = [str(position) for position, _ in enumerate(curves, 1)]
    colour = alt.Color(
        "curve:N",
        scale=alt.Scale(domain=names, range=list(CURVE_COLOURS[: len(names)])),
        legend=None,
    )
    across = alt.X(
        "day:T",
        title=None,
        scale=scale,
        axis=alt.Axis(format="%d-%m", labelAngle=0, tickCount=5, grid=False),
    )
    upward = alt.Y(
        "share:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=rows))
    lines = base.mark_line(strokeWidth=2).encode(
        x=across,
        y=upward,
        color=colour,
        strokeDash=alt.StrokeDash(
            "curve:N",
            scale=alt.Scale(domain=names, range=[*CURVE_DASHES[: len(names)]]),
            legend=None,
        ),
    )
    ends = [
        {"day": day.isoformat(), "share": round(one.shares[-1], 4), "curve": name}
        for name, one in zip(names, curves, strict=True)
    ]
    deadlines = [
        {"deadline": one.deadline.isoformat(), "curve": name}
        for name, one in zip(names, curves, strict=True)
        if first <= one.deadline <= last
    ]
    at_ends = (
        alt.Chart(alt.InlineData(values=_apart(ends)))
        .mark_text(dx=7, fontSize=11, fontWeight="bold")
        .encode(x="day:T", y="share:Q", text="curve:N", color=colour)
    )
    rules = (
        alt.Chart(alt.InlineData(values=deadlines))
        .mark_rule(strokeWidth=1, strokeDash=[3, 2])
        .encode(x="deadline:T", color=colour)
    )
    marks = (
        alt.Chart(alt.InlineData(values=deadlines))
        .mark_text(fontSize=9, dy=-4, baseline="bottom")
        .encode(x="deadline:T", y=alt.value(0), text="curve:N", color=colour)
    )
    return _svg(alt.layer(rules, lines, at_ends, marks).properties(width=WIDTH - 48, height=130))


def bars(days: Sequence[DayAmount], usual: float | None) -> Markup:
    """Amounts by day; a day without a report has a cross and no bar; the dashed line is the usual day."""
    rows = [
        {"day": one.day.isoformat(), "amount": one.amount} for one in days if one.amount is not None
    ]
    missing = [{"day": one.day.isoformat(), "amount": 0} for one in days if one.amount is None]
    scale = alt.Scale(
        domain=[_time(days[0].day - timedelta(days=1)), _time(days[-1].day + timedelta(days=1))]
    )
    across = alt.X(
        "day:T",
        title=None,
        scale=scale,
        axis=alt.Axis(format="%d-%m", labelAngle=0, tickCount=5, grid=False),
    )
    largest = max([1, usual or 0, *(one.amount or 0 for one in days)])
    upward = alt.Y(
        "amount:Q",
        title=None,
        scale=alt.Scale(domain=[0, largest], nice=True),
        axis=alt.Axis(tickCount=3, tickMinStep=1, format="~s" if largest >= _THOUSAND else "d"),
    )
    layers = [
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(width=5, color=BLUE)
        .encode(x=across, y=upward),
        alt.Chart(alt.InlineData(values=missing))
        .mark_text(text="×", fontSize=8, color="#666666", dy=-4)
        .encode(x=across, y=upward),
    ]
    if usual is not None:
        layers.append(
            alt.Chart(alt.InlineData(values=[{"usual": usual}]))
            .mark_rule(color=VERMILION, strokeDash=[4, 3], strokeWidth=1.5)
            .encode(y="usual:Q")
        )
    return _svg(alt.layer(*layers).properties(width=WIDTH - 48, height=84))


@dataclass(frozen=True)
class Map:
    """A map, and from which share on each of its shades is used."""

    svg: Markup
    steps: list[tuple[str, float, float]]
    """Colour, least share, greatest share."""


def choropleth(
    geojson: Mapping[str, Any], areas: Mapping[str, str], shares: Mapping[str, float | None]
) -> Map | None:
    """Areas shaded by share, each with its share in per cent; one without a share is dashed and has a dash. None if nothing can be drawn."""
    features = joined(geojson, areas)
    if not features:
        return None
    low, high = _bounds([share for share in shares.values() if share is not None])
    labels = []
    for feature in features:
        share = shares.get(feature["id"])
        shade = (
            None
            if share is None
            else min(int((share - low) / (high - low) * len(SHADES)), len(SHADES) - 1)
        )
        feature["fill"] = "#ffffff" if shade is None else SHADES[shade]
        feature["dashed"] = str(share is None)
        x, y = feature.pop("label")
        labels.append(
            {
                "x": x,
                "y": y,
                "text": "–" if share is None else str(int(share * 100)),
                "ink": "#ffffff" if shade is not None and shade >= _WHITE_FROM else INK,
            }
        )
    height, degree = _size(features)
    shapes = (
        alt.Chart(alt.InlineData(values=features))
        .mark_geoshape(stroke="#555555", strokeWidth=0.7)
        .encode(
            fill=alt.Fill("fill:N", scale=None),
            strokeDash=alt.StrokeDash(
                "dashed:N",
                scale=alt.Scale(domain=["False", "True"], range=[[1, 0], [2, 2]]),
                legend=None,
            ),
        )
    )
    moved = _spread(labels, degree)
    lines = (
        alt.Chart(alt.InlineData(values=[one for one in moved if one["led"]]))
        .mark_rule(strokeWidth=0.7, color=INK)
        .encode(longitude="x0:Q", latitude="y0:Q", longitude2="x:Q", latitude2="y:Q")
    )
    texts = (
        alt.Chart(alt.InlineData(values=moved))
        .mark_text(fontSize=9.5, fontWeight="bold")
        .encode(
            longitude="x:Q", latitude="y:Q", text="text:N", color=alt.Color("ink:N", scale=None)
        )
    )
    drawn = (
        alt.layer(shapes, lines, texts).project("mercator").properties(width=WIDTH, height=height)
    )
    step = (high - low) / len(SHADES)
    return Map(
        _svg(drawn),
        [
            (colour, low + number * step, low + (number + 1) * step)
            for number, colour in enumerate(SHADES)
        ],
    )


def _bounds(shares: Sequence[float]) -> tuple[float, float]:
    """What the shades span: the shares that there are, to the next twentieths, so that differences show."""
    if not shares:
        return 0.0, 1.0
    low, high = floor(min(shares) * 20) / 20, ceil(max(shares) * 20) / 20
    if high - low < _LEAST_SPAN:
        low = max(0.0, min(low, 1 - _LEAST_SPAN))
        high = low + _LEAST_SPAN
    return low, high


def _spread(labels: Sequence[dict[str, Any]], degree: float) -> list[dict[str, Any]]:
    """Labels moved up or down until none covers another; a moved one gets a line to its place. `degree` is so many pixels."""
    wide, high = 15 / degree, 10 / degree
    moved = [{**one, "x0": one["x"], "y0": one["y"], "led": False} for one in labels]
    for _ in range(40):
        clear = True
        for number, one in enumerate(moved):
            for other in moved[number + 1 :]:
                gap = one["y"] - other["y"]
                if abs(one["x"] - other["x"]) < wide and abs(gap) < high:
                    clear = False
                    push = (high - abs(gap)) / 2 * (1 if gap >= 0 else -1)
                    one["y"] += push
                    other["y"] -= push
        if clear:
            break
    for one in moved:
        one["led"] = abs(one["y"] - one["y0"]) > high / 2
    return moved


def _size(features: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """Height of a map in pixels, and how many pixels a degree of latitude has."""
    points = [
        point
        for feature in features
        for polygon in feature["geometry"]["coordinates"]
        for ring in polygon
        for point in ring
    ]
    (west, east), (south, north) = (
        (min(values), max(values)) for values in zip(*points, strict=True)
    )
    shrink = cos(radians((south + north) / 2))
    degree = min(WIDTH / ((east - west) * shrink), WIDTH * _TALLEST / (north - south))
    return max(1, round(degree * (north - south))), degree


def _apart(ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers at the ends of curves, moved so that none covers another."""
    placed: list[dict[str, Any]] = []
    for end in sorted(ends, key=lambda one: one["share"]):
        least = placed[-1]["share"] + 0.09 if placed else 0.02
        placed.append({**end, "share": max(end["share"], least)})
    over = placed[-1]["share"] - 1
    return [{**one, "share": one["share"] - over} for one in placed] if over > 0 else placed


def _time(day: date) -> dict[str, int]:
    return {"year": day.year, "month": day.month, "date": day.day}


def _svg(chart: alt.LayerChart | alt.FacetChart) -> Markup:
    """As SVG to stand inside a page: names of clips are its own, and it fits the width that it is given."""
    look = (
        chart.configure(font=FAMILIES["latin"], background="transparent", padding=2)
        .configure_view(stroke=None)
        .configure_axis(
            labelFont=FAMILIES["latin"],
            labelFontSize=9.5,
            labelColor=INK,
            gridColor="#dddddd",
            domainColor="#888888",
            tickColor="#888888",
        )
    )
    svg = vl_convert.vegalite_to_svg(look.to_dict())
    prefix = f"c{next(_numbers)}-"
    svg = re.sub(r' (?:aria-\w+|role|pointer-events|version|xmlns:xlink)="[^"]*"', "", svg)
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)
    return Markup(svg.replace('class="marks"', 'class="chart" aria-hidden="true"', 1))  # noqa: S704
