"""The dry run, `gateway check` and the gateway say what the worker will say: one set of rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from cli.main import app
from pravah.events import EventError, parse_event
from producers.gateway.registry import UnitChecker
from producers.tables import Importer, ImportMapping
from rollup.record_batch import BatchRecord
from rollup.validation import Accepted, Rejected, Validator
from schemas.acceptance import AcceptanceRules
from tests.support import small_world
from tests.support.gateway_world import BEARER, gateway

NOW = datetime.now(UTC)
RULES = AcceptanceRules(timedelta(hours=24), small_world.registry(), small_world.dictionary())
GOOD: dict[str, Any] = {
    "event_id": "00000000-0000-4000-8000-000000000001",
    "entity": "e",
    "unit": "CG-AC001",
    "kind": "training_held",
    "occurred_at": f"{small_world.on(5)}T12:00:00+05:30",
    "source": {"tool": "t", "producer": "p"},
    "data": {"programme": "x", "attendees": 3, "trained_units": ["CG-AC001-B0001"]},
}
TALLY = {"kind": "tally", "data": {"metric": "volunteers", "value": 3}}
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", TALLY),
    ("", {"occurred_at": (NOW + timedelta(hours=23)).isoformat(), "data": GOOD["data"]}),
    ("", {"op": "retract", **TALLY, "data": {"metric": "moonshots", "value": 1}}),
    ("far_future", {"occurred_at": "2032-05-03T12:00:00+05:30"}),
    ("far_future", {"occurred_at": (NOW + timedelta(hours=25)).isoformat()}),
    ("far_future", {"occurred_at": "2999-12-31T00:00:00Z"}),
    ("unknown_unit", {"unit": "CG-D-X", "data": {"programme": "x", "attendees": 3}}),
    ("unknown_unit", {"unit": "MP-AC001"}),
    (
        "closed_unit",
        {
            "unit": "CG-AC001-B0004",
            "occurred_at": f"{small_world.on(41)}T12:00:00+05:30",
            "data": {"programme": "x", "attendees": 3},
        },
    ),
    (
        "closed_unit",
        {"unit": "CG-AC002-B0005", "data": {"programme": "x", "attendees": 3}},
    ),
    ("unknown_trained_unit", {"data": {**GOOD["data"], "trained_units": ["CG-AC002-B0005"]}}),
    ("unknown_trained_unit", {"data": {**GOOD["data"], "trained_units": ["CG-AC001-B9999"]}}),
    ("unknown_metric", {**TALLY, "data": {"metric": "moonshots", "value": 3}}),
    ("unknown_metric", {**TALLY, "data": {"metric": "incharges", "value": 3}}),
    ("invalid", {"occurred_at": "1999-12-31T00:00:00Z"}),
    ("invalid", {**TALLY, "data": {"metric": "volunteers", "value": -1}}),
    ("invalid", {**TALLY, "data": {"metric": "volunteers", "value": 10**13}}),
    ("invalid", {**TALLY, "data": {"metric": "volunteers", "value": "3"}}),
    ("invalid", {"kind": "rally"}),
    ("invalid", {"unit": "raipur"}),
]


def judge(value: bytes) -> str:
    """The reason by the worker's validation of a record that arrives now."""
    validator = Validator(
        small_world.registry(),
        small_world.dictionary(),
        partition_of=lambda _: 0,
        max_future_hours=24,
    )
    found = validator.validate(0, BatchRecord(0, int(NOW.timestamp() * 1000), b"CG-AC001", value))
    assert isinstance(found, Accepted | Rejected)
    return found.reason if isinstance(found, Rejected) else ""


@pytest.mark.parametrize(("reason", "change"), CHANGES)
def test_senders_and_the_worker_give_the_same_reason(reason: str, change: dict[str, Any]) -> None:
    value = orjson.dumps({**GOOD, **change})
    units = UnitChecker({}, 24.0)
    units.set_registry(small_world.registry())
    assert judge(value) == reason
    try:
        event = parse_event(value)
        refusal = units.check_event("CG", event)
        RULES.check(event, NOW)
    except EventError as error:
        assert error.reason == reason
    else:
        assert reason == ""
    if reason not in {"", "invalid"}:
        assert refusal is not None
        assert refusal.reason == reason


TABLE = """
kind = "tally"
producer = "office"
unit = { column = "Booth" }
occurred_at = { column = "Day", format = "%d/%m/%Y" }
entity = { prefix = "sheet", columns = ["Form"] }
fields.metric = { column = "Metric" }
fields.value = { column = "Count", type = "integer" }
"""
ROW = {
    "Booth": "CG-AC001-B0001",
    "Day": "03/05/2022",
    "Form": "F-1",
    "Metric": "volunteers",
    "Count": "12",
}
ROWS = [
    ("far_future", {"Day": "03/05/2032"}),
    ("far_future", {"Day": "03/05/2132"}),
    ("invalid", {"Day": "03/05/2222"}),
    ("invalid", {"Day": "03/05/1922"}),
    ("invalid", {"Count": "-1"}),
    ("invalid", {"Count": "9999999999999"}),
    ("unknown_metric", {"Metric": "moonshots"}),
    ("unknown_unit", {"Booth": "CG-AC009-B0001"}),
    ("closed_unit", {"Booth": "CG-AC002-B0005", "Day": "03/03/2022"}),
]


@pytest.mark.parametrize(("reason", "cells"), ROWS)
def test_a_dry_run_refuses_what_the_worker_would(reason: str, cells: dict[str, str]) -> None:
    importer = Importer(ImportMapping.from_toml(TABLE), list(ROW), registry=small_world.registry())
    with pytest.raises(EventError) as caught:
        importer.convert(2, list({**ROW, **cells}.values()))
    assert caught.value.reason == reason


def test_the_commands_say_that_a_day_lies_in_the_future(tmp_path: Path) -> None:
    """Issue 21, fault 9: it said "would be sent", and was refused later, unseen."""
    (tmp_path / "registry").mkdir()
    registry = small_world.write(tmp_path / "registry")
    (tmp_path / "m.toml").write_text(TABLE, encoding="utf-8")
    row = ",".join({**ROW, "Day": "03/05/2032"}.values())
    (tmp_path / "t.csv").write_text(f"{','.join(ROW)}\n{row}\n", encoding="utf-8")
    done = CliRunner().invoke(
        app,
        ["import", str(tmp_path / "t.csv"), "--mapping", str(tmp_path / "m.toml"), "--dry-run"],
    )
    assert done.exit_code == 1
    assert "would be sent: 0; rejected: 1" in done.output
    assert "far_future" in done.output

    (tmp_path / "f.toml").write_text(
        'unit = { field = "booth" }\noccurred_at = { field = "day" }\n[[event]]\nkind = "tally"\n'
        'constants = { metric = "volunteers" }\n'
        'fields.value = { field = "count", type = "integer" }\n',
        encoding="utf-8",
    )
    body = {"contact": {"id": 1}, "booth": "CG-AC001-B0001", "day": "2032-05-03", "count": "3"}
    body |= {
        "organization_id": 1,
        "results": {},
        "flow": "f",
        "submission_id": "s-1",
        "sent_at": "2022-05-03T00:00:00Z",
    }
    (tmp_path / "s.json").write_bytes(orjson.dumps(body))
    arguments = [str(tmp_path / "f.toml"), str(tmp_path / "s.json"), "--tool", "glific", "--json"]
    done = CliRunner().invoke(app, ["gateway", "check", *arguments, "--registry", str(registry)])
    result = orjson.loads(done.stdout)
    assert (done.exit_code, result["events"]) == (1, [])
    assert "lies in the future" in result["findings"][0]


def test_the_gateway_refuses_what_the_worker_would(tmp_path: Path) -> None:
    with gateway(tmp_path) as world:
        for number, (reason, change) in enumerate(CHANGES):
            event_id = f"00000000-0000-4000-8000-{number:012}"
            value = orjson.dumps({**GOOD, "event_id": event_id, "entity": event_id, **change})
            answer = world.client.post("/v1/events", content=value, headers=BEARER)
            assert (answer.status_code < 400) == (reason == ""), answer.text
            assert reason in answer.text


@pytest.mark.parametrize("entity", ["@results.group.input", "{{id}}", "undefined", "null", "????"])
def test_the_gateway_refuses_an_event_of_an_entity_that_means_nothing(
    tmp_path: Path, entity: str
) -> None:
    with gateway(tmp_path) as world:
        value = orjson.dumps({**GOOD, "entity": entity})
        answer = world.client.post("/v1/events", content=value, headers=BEARER)
    assert answer.status_code >= 400
    assert "entity: " in answer.text
