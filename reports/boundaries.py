"""Boundaries on any day: assemblies dissolved into the areas that they belong to on that day. Pure.

So a district that begins tomorrow is not on today's map.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

# Longitude, latitude, degrees.
Point = tuple[float, float]
Edge = tuple[Point, Point]

# Coordinates are rounded to this many steps across the wider side: finer than a phone's screen.
_GRID_STEPS = 250
_MIN_GRID_DEGREES = 1e-4


def dissolve(geojson: Mapping[str, Any], areas: Mapping[str, str]) -> list[dict[str, Any]]:
    """Merge assemblies into one GeoJSON feature per area; borders within an area disappear.

    Neighbours must share their points, as in the boundaries that come with Pravah.

    Args:
        geojson: a collection of assemblies with `ac_no` among their properties. The state's code
            is that of the keys of `areas`.
        areas: assembly's code → area's code. Assemblies that are not in it are left out.

    Returns:
        Features, the largest first, so that an enclave is drawn above the area around it. Each has
        the area's code as `id` and a position for its label as `label` (longitude, latitude).
    """
    edges: dict[str, Counter[Edge]] = {}
    state = next(iter(areas), "")[:2]
    assemblies = [
        (feature["geometry"], areas[code])
        for feature in geojson["features"]
        if (code := f"{state}-AC{feature['properties']['ac_no']:03}") in areas
    ]
    grid = _grid_degrees(
        [point for geometry, _ in assemblies for ring in _rings(geometry) for point in ring]
    )
    for geometry, area in assemblies:
        of_area = edges.setdefault(area, Counter())
        for ring in _rings(geometry):
            rounded = [
                (round(round(x / grid) * grid, 5), round(round(y / grid) * grid, 5))
                for x, y in ring
            ]
            for edge in pairwise(rounded):
                _add_edge(of_area, edge)
    features = [
        _feature(area, rings)
        for area, of_area in sorted(edges.items())
        if (rings := [ring for ring in _link_rings(of_area) if abs(_area(ring)) > grid * grid])
    ]
    return sorted(features, key=lambda feature: -feature["size"])


def _add_edge(edges: Counter[Edge], edge: Edge) -> None:
    """Add an edge, or cancel it with the neighbour's, which runs the other way."""
    reverse = (edge[1], edge[0])
    if edges[reverse]:
        edges[reverse] -= 1
    elif edge[0] != edge[1]:
        edges[edge] += 1


def _link_rings(edges: Counter[Edge]) -> Iterator[list[Point]]:
    """Edges linked into closed rings: at each point as many edges begin as end."""
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
    """A feature with each ring as a polygon of its own."""
    largest = max(rings, key=lambda ring: abs(_area(ring)))
    return {
        "type": "Feature",
        "id": area,
        "size": abs(_area(largest)),
        "label": _label_point(largest),
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]},
    }


def _label_point(ring: list[Point]) -> Point:
    """A point inside with space on all four sides.

    Candidates are the middles of the inner stretches of some parallels; the one furthest from a
    border wins.
    """
    low, high = min(y for _, y in ring), max(y for _, y in ring)
    transposed = [(y, x) for x, y in ring]
    best = (0.0, ring[0])
    for number in range(2, 19):
        y = low + (high - low) * (number / 20 + 1e-4)
        for left, right in _inner_stretches(ring, y):
            x = (left + right) / 2 + 1e-7
            distance = next(
                (
                    min(y - begin, end - y)
                    for begin, end in _inner_stretches(transposed, x)
                    if begin <= y <= end
                ),
                0.0,
            )
            best = max(best, (min(x - left, distance), (x, y)))
    return best[1]


def _inner_stretches(ring: list[Point], y: float) -> Iterator[tuple[float, float]]:
    """The stretches of a parallel that lie inside a ring."""
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


def _grid_degrees(points: list[Point]) -> float:
    if not points:
        return 1.0
    widest: float = max(max(values) - min(values) for values in zip(*points, strict=True))
    return max(widest / _GRID_STEPS, _MIN_GRID_DEGREES)
