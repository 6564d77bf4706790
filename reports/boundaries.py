"""Boundaries of any day: assemblies joined into what they belong to on that day, so that a district that begins tomorrow is not on today's map. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

Point = tuple[float, float]
"""Longitude, latitude, degrees."""
Edge = tuple[Point, Point]

_STEPS = 250
"""Coordinates are rounded so that the wider side has about so many steps: finer than a phone's screen shows."""


def joined(geojson: Mapping[str, Any], areas: Mapping[str, str]) -> list[dict[str, Any]]:
    """One GeoJSON feature for each area, with its code as `id` and the place of its label as `label`.

    Borders that two assemblies of an area share fall away. It needs a map in which neighbours share their points, as ours do.

    Args:
        geojson: a collection of assemblies, with `ac_no` among the properties and a state's code in `areas`' keys.
        areas: assembly's code → area's code; assemblies that are not in it are left out.
    """
    edges: dict[str, Counter[Edge]] = {}
    state = next(iter(areas), "")[:2]
    found = [
        (feature["geometry"], areas[code])
        for feature in geojson["features"]
        if (code := f"{state}-AC{feature['properties']['ac_no']:03}") in areas
    ]
    grid = _grid([point for geometry, _ in found for ring in _rings(geometry) for point in ring])
    for geometry, area in found:
        of_area = edges.setdefault(area, Counter())
        for ring in _rings(geometry):
            rounded = [
                (round(round(x / grid) * grid, 5), round(round(y / grid) * grid, 5))
                for x, y in ring
            ]
            for edge in pairwise(rounded):
                _add(of_area, edge)
    features = [
        _feature(area, rings)
        for area, of_area in sorted(edges.items())
        if (rings := [ring for ring in _linked(of_area) if abs(_area(ring)) > grid * grid])
    ]
    # the larger first: what lies within another is drawn above it
    return sorted(features, key=lambda feature: -feature["size"])


def _add(edges: Counter[Edge], edge: Edge) -> None:
    """Put a border in, or cancel it with the neighbour's, which runs the other way."""
    back = (edge[1], edge[0])
    if edges[back]:
        edges[back] -= 1
    elif edge[0] != edge[1]:
        edges[edge] += 1


def _linked(edges: Counter[Edge]) -> Iterator[list[Point]]:
    """Borders put one behind the other, as closed rings: as many of them begin as end at each point."""
    onward: dict[Point, list[Point]] = {}
    for start, end in sorted(edges.elements()):
        onward.setdefault(start, []).append(end)
    for start, ends in onward.items():
        while ends:
            ring = [start]
            while len(ring) == 1 or ring[-1] != start:
                ring.append(onward[ring[-1]].pop())
            yield ring


def _feature(area: str, rings: list[list[Point]]) -> dict[str, Any]:
    """Rings as polygons of their own, wound as d3 wants them: clockwise on the map."""
    outer = [ring if _area(ring) < 0 else ring[::-1] for ring in rings]
    largest = max(outer, key=lambda ring: abs(_area(ring)))
    return {
        "type": "Feature",
        "id": area,
        "size": abs(_area(largest)),
        "label": _middle(largest),
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in outer]},
    }


def _middle(ring: list[Point]) -> Point:
    """A place inside with room on all four sides: of the middles of some parallels' stretches, the one that is furthest from a border."""
    low, high = min(y for _, y in ring), max(y for _, y in ring)
    turned = [(y, x) for x, y in ring]
    best = (0.0, ring[0])
    for number in range(2, 19):
        y = low + (high - low) * (number / 20 + 1e-4)
        for left, right in _stretches(ring, y):
            x = (left + right) / 2 + 1e-7
            room = next(
                (
                    min(y - begin, end - y)
                    for begin, end in _stretches(turned, x)
                    if begin <= y <= end
                ),
                0.0,
            )
            best = max(best, (min(x - left, room), (x, y)))
    return best[1]


def _stretches(ring: list[Point], y: float) -> Iterator[tuple[float, float]]:
    """Where a parallel lies inside."""
    crossings = sorted(
        x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        for (x1, y1), (x2, y2) in pairwise(ring)
        if (y1 > y) != (y2 > y)
    )
    return zip(crossings[::2], crossings[1::2], strict=True)


def _area(ring: list[Point]) -> float:
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring)) / 2


def _rings(geometry: Mapping[str, Any]) -> Iterable[list[Point]]:
    polygons = (
        [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    )
    for polygon in polygons:
        yield from polygon


def _grid(points: list[Point]) -> float:
    if not points:
        return 1.0
    widest: float = max(max(values) - min(values) for values in zip(*points, strict=True))
    return max(widest / _STEPS, 1e-4)
