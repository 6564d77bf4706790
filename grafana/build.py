"""Builds the dashboards' JSON, and writes it to `generated/`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.dashboards import BUILDERS
from grafana.language import part_definitions

GENERATED = Path(__file__).parent / "generated"


def dashboards() -> dict[str, dict[str, Any]]:
    """All dashboards: uid → JSON."""
    return {uid: dashboard_json(build) for uid, build in BUILDERS.items()}


def dashboard_json(build: Callable[[], Dashboard]) -> dict[str, Any]:
    """One dashboard as JSON.

    The library does not number panels. They are numbered here, since links need stable numbers.
    """
    content = to_json(build())
    for number, panel in enumerate(content["panels"], 1):
        panel["id"] = number
    content["id"] = None  # differs between Grafanas; the uid does not
    content["annotations"] = {"list": []}
    parted: dict[str, Any] = part_definitions(content)
    return parted


def to_json(builder: Builder[Any]) -> dict[str, Any]:
    """Build an object of the library, as JSON."""
    content: dict[str, Any] = json.loads(JSONEncoder().encode(builder.build()))
    return content


def dump_json(content: object) -> str:
    """JSON as text of a file."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def generated_files() -> Iterator[tuple[Path, str]]:
    """All generated files: path below `generated/`, and text."""
    for uid, content in dashboards().items():
        yield Path("dashboards") / f"{uid}.json", dump_json(content)


def write_generated(folder: Path = GENERATED) -> list[Path]:
    """Write files that differ, and delete those that are no longer generated.

    Returns:
        The files that changed.
    """
    wanted = {folder / path: text for path, text in generated_files()}
    changed = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    obsolete = [path for path in folder.rglob("*.*") if path.is_file() and path not in wanted]
    for path in obsolete:
        path.unlink()
    return [*changed, *obsolete]
