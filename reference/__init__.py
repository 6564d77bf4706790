"""Data files of Pravah: real units, boundaries, the default plan, the metric dictionary.

The functions here return their paths; `defaults` parses two of them by `schemas`, the only package
of ours that is imported. `SOURCES.md` gives the sources of the data and how reliable each is,
`build` makes the registry from them, and `national` generates a registry of India's size for scale
tests.
"""

from pathlib import Path

__all__ = ["boundaries_file", "metrics_file", "plan_file", "registry_files", "states_file"]

_HERE = Path(__file__).parent


def registry_files() -> list[Path]:
    """The files of the default registry, sorted.

    There are three parts, each with `….units.csv` and `….parents.csv`: India's states,
    Chhattisgarh's units, and its booths.
    """
    return sorted(
        [*(_HERE / "registry").glob("*.units.csv"), *(_HERE / "registry").glob("*.parents.csv")]
    )


def metrics_file() -> Path:
    """The metric dictionary."""
    return _HERE / "metrics.toml"


def plan_file(name: str = "2022") -> Path:
    """The file of a programme plan.

    Raises:
        ValueError: there is no plan with that name.
    """
    path = _HERE / f"plan-{name}.toml"
    if not path.is_file():
        names = ", ".join(
            sorted(found.stem.removeprefix("plan-") for found in _HERE.glob("plan-*.toml"))
        )
        msg = (
            f"there is no plan {name!r} among those that come with Pravah; there are: {names}. "
            "A plan of your own is given by its path."
        )
        raise ValueError(msg)
    return path


def states_file() -> Path:
    """India's 36 states and territories with codes, constituencies and polling stations.

    `SOURCES.md` describes the columns.
    """
    return _HERE / "sources" / "states.csv"


def boundaries_file(state: str) -> Path | None:
    """The boundaries of a state's assemblies as GeoJSON (longitude, latitude), if there are any."""
    path = _HERE / "boundaries" / f"{state}-assemblies.geojson"
    return path if path.is_file() else None
