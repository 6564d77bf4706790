"""Charts of the report as SVG: trend, bars and map.

An SVG contains digits only: names of months and areas are HTML that lies upon it, since WeasyPrint
draws the text of an SVG letter by letter, which breaks Devanagari. Colours are Okabe and Ito's,
which colour-blind readers can tell apart, and no colour carries information alone: curves are
numbered and dashed, areas show their share.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, degrees, floor, log10, pi, radians, tan
from math import log as ln
from typing import Any

from markupsafe import Markup

from pravah.languages import Language
from reports.boundaries import Point, dissolve
from reports.fonts import FAMILIES
from reports.labels import format_short_day
from reports.situation import Curve, DayAmount

BLUE, VERMILION, INK = "#0072B2", "#D55E00", "#222222"
GRID_COLOUR, AXIS_COLOUR, BORDER_COLOUR, MISSING_COLOUR = "#dddddd", "#888888", "#555555", "#666666"
CURVE_COLOURS = (BLUE, VERMILION, "#009E73")
CURVE_DASHES = ("none", "6 3", "2 2")
# From the lowest share to the highest.
# All so light that a dark label can be read that reaches from one area into the next.
SHADES = ("#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6")

# Pixels. The pages scale a chart to the width that they have.
WIDTH = 340
TREND_HEIGHT, BARS_HEIGHT = 130, 84
_SPARK_WIDTH, _SPARK_HEIGHT = 260, 110
_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_BOTTOM = 38, 12, 21
_LABEL_SIZE = 9.5
_BAR_WIDTH = 5
MAP_WIDTH = 640
_MAX_MAP_HEIGHT = 1.25 * MAP_WIDTH
# A label of the map: its height, and the width of a character, which combining marks do not have.
_LABEL_HEIGHT, _CHARACTER_WIDTH = 13, 6.1

_MIN_SHARE_RANGE = 0.1
_MAX_DAYS_AHEAD = timedelta(days=45)
_MIN_DAYS_SHOWN = timedelta(days=14)
_DAYS_BEFORE_START = timedelta(days=7)
# Above this many days the axis is labelled by months, up to it by weeks.
_MAX_DAYS_BY_WEEK = 60
# Distance between the numbers at the ends of two curves, as a share.
_MIN_NUMBER_GAP = 0.09


@dataclass(frozen=True)
class Map:
    """A choropleth map and its legend."""

    svg: Markup
    """With its labels."""
    steps: list[tuple[str, float, float]]
    """Colour, least share, greatest share."""


@dataclass(frozen=True)
class _Plot:
    """Plot area between axes: days across, values from zero upwards; gives pixels."""

    first: date
    last: date
    greatest: float
    height: int
    margin_top: int
    language: Language

    @property
    def left(self) -> float:
        return _MARGIN_LEFT

    @property
    def right(self) -> float:
        return WIDTH - _MARGIN_RIGHT

    @property
    def bottom(self) -> float:
        return self.margin_top + self.height

    def x(self, day: date) -> float:
        return self.left + (self.right - self.left) * (day - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return self.bottom - self.height * value / self.greatest

    def draw(self, value_labels: Mapping[float, str], *marks: Markup) -> Markup:
        """The chart: grid, axes and labels, with the marks above the grid."""
        parts, labels = [], []
        for value, label in value_labels.items():
            y = self.y(value)
            parts.append(_line(self.left, y, self.right, y, GRID_COLOUR))
            parts.append(_line(self.left - 5, y, self.left, y, AXIS_COLOUR))
            parts.append(_text(label, self.left - 7, y + 3, text_anchor="end"))
        parts += marks
        for day in _day_ticks(self.first, self.last):
            x = self.x(day)
            parts.append(_line(x, self.bottom, x, self.bottom + 5, AXIS_COLOUR))
            labels.append((format_short_day(day, self.language), x, self.bottom + 12))
        parts.append(_line(self.left, self.bottom, self.right, self.bottom, AXIS_COLOUR))
        parts.append(_line(self.left, self.margin_top, self.left, self.bottom, AXIS_COLOUR))
        return _label_svg(WIDTH, self.bottom + _MARGIN_BOTTOM, parts, labels)


def trend(curves: Sequence[Curve], day: date, language: Language = "en") -> Markup:
    """Draw the share done by day: a numbered curve per milestone, a vertical line per deadline.

    Args:
        curves: at least one; all begin on the same day and end on `day`.
        day: the day of the report.
        language: of the months.
    """
    first = _first_shown(curves, day)
    deadlines = [one.deadline for one in curves if one.deadline <= day + _MAX_DAYS_AHEAD]
    plot = _Plot(first, max([day, *deadlines]), 1.0, TREND_HEIGHT, 15, language)
    ends = _spread_numbers([one.shares[-1] for one in curves])
    lines, rules, numbers = [], [], []
    for number, (one, end) in enumerate(zip(curves, ends, strict=True), 1):
        colour, dash = CURVE_COLOURS[number - 1], CURVE_DASHES[number - 1]
        days = [one.first + timedelta(days=offset) for offset in range(len(one.shares))]
        points = [
            (plot.x(on), plot.y(share))
            for on, share in zip(days, one.shares, strict=True)
            if on >= first
        ]
        lines.append(
            _tag("path", d=_path(points), stroke=colour, stroke_width=2, stroke_dasharray=dash)
        )
        numbers.append(
            _text(
                str(number),
                plot.x(day) + 7,
                plot.y(end) + 4,
                fill=colour,
                font_size=11,
                font_weight="bold",
                text_anchor="middle",
            )
        )
        if first <= one.deadline <= plot.last:
            x = plot.x(one.deadline)
            rules.append(_line(x, plot.margin_top, x, plot.bottom, colour, stroke_dasharray="3 2"))
            numbers.append(
                _text(
                    str(number),
                    x,
                    plot.margin_top - 4,
                    fill=colour,
                    font_size=9,
                    text_anchor="middle",
                )
            )
    percents = {share / 5: f"{share * 20}%" for share in range(6)}
    return plot.draw(percents, *rules, *lines, *numbers)


def bars(days: Sequence[DayAmount], usual: float | None, language: Language = "en") -> Markup:
    """Draw amounts by day: a cross for a day without a report, a dashed line for the usual day."""
    one_day = timedelta(days=1)
    greatest = max([1, usual or 0, *(one.amount or 0 for one in days)])
    plot = _Plot(days[0].day - one_day, days[-1].day + one_day, greatest, BARS_HEIGHT, 8, language)
    marks = []
    for one in days:
        x = plot.x(one.day)
        if one.amount is None:
            marks.append(
                _text(
                    "×", x, plot.bottom - 2, fill=MISSING_COLOUR, font_size=8, text_anchor="middle"
                )
            )
        elif one.amount > 0:
            y = plot.y(one.amount)
            marks.append(
                _tag(
                    "rect",
                    x=x - _BAR_WIDTH / 2,
                    y=y,
                    width=_BAR_WIDTH,
                    height=plot.bottom - y,
                    fill=BLUE,
                )
            )
    if usual is not None:
        y = plot.y(usual)
        marks.append(
            _line(plot.left, y, plot.right, y, VERMILION, stroke_width=1.5, stroke_dasharray="4 3")
        )
    return plot.draw({value: _short(value) for value in _value_ticks(greatest)}, *marks)


def sparkline(shares: Sequence[float]) -> Markup:
    """Draw shares of days in a row as a line that ends in a dot, without axes.

    Args:
        shares: at least two; the height is from the lowest to the highest.
    """
    low, high = min(shares), max(shares)
    step, span = (_SPARK_WIDTH - 16) / (len(shares) - 1), (high - low) or 1.0
    points = [
        (8 + step * number, 8 + (_SPARK_HEIGHT - 16) * (high - share) / span)
        for number, share in enumerate(shares)
    ]
    x, y = points[-1]
    line = _tag("path", d=_path(points), stroke=BLUE, stroke_width=5)
    return _svg(_SPARK_WIDTH, _SPARK_HEIGHT, [line, _tag("circle", cx=x, cy=y, r=8, fill=BLUE)])


def choropleth(
    geojson: Mapping[str, Any],
    areas: Mapping[str, str],
    shares: Mapping[str, float | None],
    names: Mapping[str, str] | None = None,
) -> Map | None:
    """Draw areas shaded by share, each labelled with its name and its share in per cent.

    Args:
        geojson: the assemblies' boundaries.
        areas: assembly's code → code of the area that it belongs to.
        shares: area's code → share done; None if nothing is expected, drawn dashed with a dash.
        names: area's code → name; without them the labels are shares alone.

    Returns:
        None if there is nothing to draw.
    """
    features = dissolve(geojson, areas)
    if not features:
        return None
    low, high = _share_range([share for share in shares.values() if share is not None])
    corners, height, scale = _projection(features)
    west, north = corners

    def place(point: Point) -> Point:
        x, y = _mercator(point)
        return (x - west) * scale + 1, (north - y) * scale + 1

    shapes, texts, places = [], [], []
    for feature in features:
        share = shares.get(feature["id"])
        shade = None if share is None else _shade(share, low, high)
        rings = [ring for (ring,) in feature["geometry"]["coordinates"]]
        shapes.append(
            _tag(
                "path",
                d="".join(_path([place(point) for point in ring[:-1]]) + "Z" for ring in rings),
                fill="#ffffff" if shade is None else SHADES[shade],
                stroke=BORDER_COLOUR,
                stroke_width=0.7,
                stroke_dasharray="2 2" if share is None else "none",
            )
        )
        texts.append("–" if share is None else str(int(share * 100)))
        places.append(place(feature["label"]))
    if names:
        texts = [f"{names[one['id']]} {text}" for one, text in zip(features, texts, strict=True)]
    moved = _spread_labels(places, [_label_width(text) for text in texts])
    labels = [(text, x, y) for text, (x, y) in zip(texts, moved, strict=True)]
    leaders = [
        _line(*place, *label, AXIS_COLOUR, stroke_width=0.7)
        for place, label in zip(places, moved, strict=True)
        if abs(place[1] - label[1]) > _LABEL_HEIGHT
    ]
    figures = [
        _text(text, x, y + 3, font_weight="bold", text_anchor="middle")
        for text, x, y in ([] if names else labels)
    ]
    step = (high - low) / len(SHADES)
    return Map(
        _label_svg(
            MAP_WIDTH + 2, height + 2, [*shapes, *leaders, *figures], labels if names else []
        ),
        [
            (colour, low + number * step, low + (number + 1) * step)
            for number, colour in enumerate(SHADES)
        ],
    )


def _first_shown(curves: Sequence[Curve], day: date) -> date:
    """First day of the trend: a week before anything was done, and two weeks before the report."""
    begin = next(
        (
            number
            for number in range(len(curves[0].shares))
            if any(one.shares[number] for one in curves)
        ),
        0,
    )
    start = curves[0].first + timedelta(days=begin) - _DAYS_BEFORE_START
    return min(max(curves[0].first, start), day - _MIN_DAYS_SHOWN)


def _spread_numbers(shares: Sequence[float]) -> list[float]:
    """Positions of the numbers at the curves' ends, moved apart so that none covers another."""
    order = sorted(range(len(shares)), key=lambda index: shares[index])
    positions = list(shares)
    lowest = 0.02
    for index in order:
        positions[index] = max(shares[index], lowest)
        lowest = positions[index] + _MIN_NUMBER_GAP
    overflow = max(0.0, positions[order[-1]] - 1)
    return [position - overflow for position in positions]


def _day_ticks(first: date, last: date) -> list[date]:
    """Mondays of a short span, first days of months of a longer one."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if len(days) > _MAX_DAYS_BY_WEEK:
        return [day for day in days if day.day == 1]
    return [day for day in days if day.weekday() == 0]


def _value_ticks(greatest: float) -> list[int]:
    """Multiples of 1, 2 or 5 times a power of ten, from zero to `greatest`: four steps at most."""
    size = 10 ** floor(log10(greatest))
    candidates = (size / 5, size / 2, size, 2 * size, 5 * size)
    step = max(1, round(next(step for step in candidates if greatest <= 4 * step)))
    return list(range(0, floor(greatest) + 1, step))


def _short(value: int) -> str:
    """A number as on an axis: 500, 2.5k, 10k, 1M."""
    for size, suffix in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return str(value)


def _share_range(shares: Sequence[float]) -> tuple[float, float]:
    """Range of the shades: that of the shares, widened to the next twentieths."""
    if not shares:
        return 0.0, 1.0
    low, high = floor(min(shares) * 20) / 20, ceil(max(shares) * 20) / 20
    if high - low < _MIN_SHARE_RANGE:
        low = max(0.0, min(low, 1 - _MIN_SHARE_RANGE))
        high = low + _MIN_SHARE_RANGE
    return low, high


def _shade(share: float, low: float, high: float) -> int:
    return min(int((share - low) / (high - low) * len(SHADES)), len(SHADES) - 1)


def _mercator(point: Point) -> Point:
    """Mercator's projection of longitude and latitude, in degrees of longitude."""
    longitude, latitude = point
    return longitude, degrees(ln(tan(pi / 4 + radians(latitude) / 2)))


def _projection(features: Sequence[Mapping[str, Any]]) -> tuple[Point, int, float]:
    """North-western corner in Mercator's degrees, height in pixels, and pixels per degree."""
    points = [
        _mercator(point)
        for feature in features
        for (ring,) in feature["geometry"]["coordinates"]
        for point in ring
    ]
    (west, east), (south, north) = (
        (min(values), max(values)) for values in zip(*points, strict=True)
    )
    scale = min(MAP_WIDTH / (east - west), _MAX_MAP_HEIGHT / (north - south))
    # a map taller than wide stands in the middle
    margin = (MAP_WIDTH / scale - (east - west)) / 2
    return (west - margin, north), max(1, ceil((north - south) * scale)), scale


def _label_width(text: str) -> float:
    """Width of a label in pixels, roughly: marks above, below and beside a letter have none."""
    letters = sum(unicodedata.category(one) not in {"Mn", "Mc"} for one in text)
    return letters * _CHARACTER_WIDTH + 2


def _spread_labels(places: Sequence[Point], widths: Sequence[float]) -> list[Point]:
    """Positions of labels in pixels, within the map, moved up or down until none covers another."""
    moved = [
        [min(max(x, width / 2), MAP_WIDTH - width / 2), y]
        for (x, y), width in zip(places, widths, strict=True)
    ]
    for _ in range(80):
        clear = True
        for number, one in enumerate(moved):
            for other_number in range(number + 1, len(moved)):
                other = moved[other_number]
                gap = one[1] - other[1]
                beside = (widths[number] + widths[other_number]) / 2
                if abs(one[0] - other[0]) < beside and abs(gap) < _LABEL_HEIGHT:
                    clear = False
                    push = (_LABEL_HEIGHT - abs(gap)) / 2 * (1 if gap >= 0 else -1)
                    one[1] += push
                    other[1] -= push
        if clear:
            break
    return [(x, y) for x, y in moved]


def _label_svg(
    width: float,
    height: float,
    parts: Sequence[Markup],
    labels: Sequence[tuple[str, float, float]],
) -> Markup:
    """An SVG below labels in HTML, each with its middle at a point of the SVG."""
    spans = [
        Markup('<span style="left:{:.2f}%;top:{:.2f}%">{}</span>').format(
            100 * x / width, 100 * y / height, text
        )
        for text, x, y in labels
    ]
    svg = _svg(width, height, parts)
    return Markup('<div class="plot">{}{}</div>').format(svg, Markup().join(spans))


def _svg(width: float, height: float, parts: Sequence[Markup]) -> Markup:
    return _tag(
        "svg",
        Markup().join(parts),
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        aria_hidden="true",
        width=width,
        height=height,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        fill="none",
        font_family=FAMILIES["latin"],
        font_size=_LABEL_SIZE,
    )


def _line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    colour: str,
    *,
    stroke_width: float = 1,
    stroke_dasharray: str = "none",
) -> Markup:
    return _tag(
        "line",
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        stroke=colour,
        stroke_width=stroke_width,
        stroke_dasharray=stroke_dasharray,
    )


def _text(
    content: str, x: float, y: float, *, fill: str = INK, **attributes: str | float
) -> Markup:
    return _tag("text", content, x=x, y=y, fill=fill, **attributes)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _tag(name: str, content: str = "", **attributes: str | float) -> Markup:
    """An element; underscores in names of attributes stand for hyphens."""
    written = Markup().join(
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"), value if isinstance(value, str) else _number(value)
        )
        for key, value in attributes.items()
        if value != "none" or key == "fill"
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, content)  # noqa: S704


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
