"""The published descriptions of the format are those of the code."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from prometheus_client import generate_latest

from operations.export import CATALOGUES, METRICS, with_catalogues
from pravah.events import parse_event
from schemas.export import FILES, event_schema, render
from streams.telemetry import Telemetry
from tests.support import small_world

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / METRICS).read_text(encoding="utf-8")
EVERY = [metric for catalogue in CATALOGUES.values() for metric in catalogue]


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == render(name), "run `make docs`"


@given(small_world.event())
def test_what_the_code_accepts_the_json_schema_accepts(event: dict) -> None:
    parse_event(json.dumps(event).encode())
    Draft202012Validator(event_schema()).validate(event)


def test_the_page_shows_the_catalogues() -> None:
    rows = re.findall(r"^\| `(pravah_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", PAGE, re.MULTILINE)
    shown = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), text)
        for name, kind, labels, text in rows
    ]
    assert shown == [tuple(metric) for metric in EVERY], "run `make docs`"
    assert with_catalogues(PAGE) == PAGE, "run `make docs`"


def test_the_page_names_only_metrics_that_there_are() -> None:
    series = {
        name
        for metric in EVERY
        for name in (metric.name, *(metric.name + end for end in ("_bucket", "_sum", "_count")))
    }
    named = set(re.findall(r"pravah_[a-z_]+", PAGE))
    assert named <= series, named - series


def test_the_alerts_select_labels_that_there_are() -> None:
    labels = {metric.name: metric.labels for metric in EVERY}
    selected = re.findall(r"(pravah_\w+)\{(\w+)(?:!?=)\"(\w+)\"\}", PAGE)
    assert selected
    samples = generate_latest(Telemetry().registry).decode()
    for name, label, value in selected:
        assert label in labels[name]
        assert f'{name}{{{label}="{value}"}}' in samples
    grouped = re.findall(r"by \((\w+)\) \((pravah_\w+)\)", PAGE)
    assert grouped
    for label, name in grouped:
        assert label in labels[name]


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="metrics of the worker"):
        with_catalogues("# Metrics\n")
