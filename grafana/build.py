"""Dashboards as Grafana stores them: built, numbered, written to `generated/`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.dashboards import BUILDERS

GENERATED = Path(__file__).parent / "generated"


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard: uid → its JSON."""
    return {uid: dashboard_json(build) for uid, build in BUILDERS.items()}


def dashboard_json(build: Callable[[], Dashboard]) -> dict[str, Any]:
    """One dashboard as plain JSON. Panels get their numbers here, since the library gives none; links between dashboards need them to stay the same."""
    content = plain(build())
    for number, panel in enumerate(content["panels"], 1):
        panel["id"] = number
    content["id"] = None  # Grafana's own number of it, which differs everywhere; the uid does not
    content["annotations"] = {"list": []}
    return content


def plain(builder: Builder[Any]) -> dict[str, Any]:
    """What a builder of the library built, as plain JSON."""
    content: dict[str, Any] = json.loads(JSONEncoder().encode(builder.build()))
    return content


def as_text(content: object) -> str:
    """JSON as it stands in a file."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file: its path below `generated/`, and its text."""
    for uid, content in dashboards().items():
        yield Path("dashboards") / f"{uid}.json", as_text(content)


def write(folder: Path = GENERATED) -> list[Path]:
    """Write what differs, and remove what is not generated any more.

    Returns:
        The files that changed.
    """
    wanted = {folder / path: text for path, text in generated()}
    changed = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    gone = [path for path in folder.rglob("*.*") if path.is_file() and path not in wanted]
    for path in gone:
        path.unlink()
    return [*changed, *gone]
