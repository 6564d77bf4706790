"""The published descriptions of the format are those of the code."""

import json
from pathlib import Path

import pytest
import small_world
from hypothesis import given
from jsonschema import Draft202012Validator

from schemas.events import parse_event
from schemas.export import FILES, event_schema, rendered

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == rendered(name), "run `make docs`"


@given(small_world.event())
def test_what_the_code_accepts_the_json_schema_accepts(event: dict) -> None:
    parse_event(json.dumps(event).encode())
    Draft202012Validator(event_schema()).validate(event)
