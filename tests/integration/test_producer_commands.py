"""`pravah emit`, `pravah import` and `pravah simulate` on a real Kafka.

Their records, their output and their exit codes.
"""

import base64
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
import typer
from click.testing import Result
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from cli.emit import emit
from cli.import_file import import_file
from cli.simulate import simulate_command
from pravah.kafka import client_options
from pravah.settings import Settings
from pravah.topics import EVENTS
from producers.mapping.delivery_ids import derive_event_id
from producers.topics.registry import publish_registry
from stack.topics import create_topics
from tests.support import small_world

Run = Callable[..., Result]

app = typer.Typer()
app.command("emit")(emit)
app.command("import")(import_file)
app.command("simulate")(simulate_command)


@pytest.fixture
def run(services: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the test's Kafka, in which the small world is registered."""
    create_topics(services.kafka)
    publish_registry(services.kafka, small_world.registry())
    monkeypatch.setenv("PRAVAH_KAFKA__BOOTSTRAP_SERVERS", services.kafka.bootstrap_servers)
    return lambda *arguments, **options: CliRunner().invoke(
        app, [str(argument) for argument in arguments], **options
    )


class Log:
    """The events topic from now on."""

    def __init__(self, services: Settings) -> None:
        self._consumer = KafkaConsumer(
            **client_options(services.kafka), group_id=None, enable_auto_commit=False
        )
        self._partitions = [
            TopicPartition(EVENTS, number) for number in self._consumer.partitions_for_topic(EVENTS)
        ]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_end()
        for partition in self._partitions:
            self._consumer.position(partition)  # now, not at the first poll

    def values(self) -> list[bytes | None]:
        """The values that arrived since the last call."""
        ends = self._consumer.end_offsets(self._partitions)
        found: list[bytes | None] = []
        while any(
            self._consumer.position(partition) < ends[partition] for partition in self._partitions
        ):
            for records in self._consumer.poll(timeout_ms=200).values():
                found += [record.value for record in records]
        return found

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def log(services: Settings, run: Run) -> Iterator[Log]:
    log = Log(services)
    yield log
    log.close()


def event(entity: str, **changes: object) -> bytes:
    return orjson.dumps(
        {
            "event_id": derive_event_id(entity, 1),
            "entity": entity,
            "unit": "CG-AC001-B0001",
            "kind": "social_post",
            "occurred_at": "2022-03-05T12:00:00+05:30",
            "source": {"tool": "test", "producer": "commands"},
            "data": {"platform": "facebook", "posts": 2},
            **changes,
        }
    )


# --- emit ----------------------------------------------------------------------------------------


def test_emit_sends_the_valid_lines_of_a_pipe_unchanged_and_reports_the_others(
    run: Run, log: Log, tmp_path: Path
) -> None:
    good = [event(f"emit:{uuid4()}") for _ in range(3)]
    lines = b"\xef\xbb\xbf" + b"\r\n".join(
        [good[0], b"", b"{", good[1], event("x", unit="Narayanpur"), b"\xff\xfe", good[2]]
    )
    result = run("emit", "--rejects", tmp_path / "bad.jsonl", input=lines)
    assert result.exit_code == 1
    assert "sent: 3; refused: 3" in result.stdout
    assert "line 3: not_json" in result.stderr
    assert "line 5: invalid: unit: is not a unit code" in result.stderr
    assert "line 6: not_utf8" in result.stderr
    assert sorted(value or b"" for value in log.values()) == sorted(good)
    rejects = [
        json.loads(line)
        for line in (tmp_path / "bad.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [(entry["line"], entry["reason"]) for entry in rejects] == [
        (3, "not_json"),
        (5, "invalid"),
        (6, "not_utf8"),
    ]
    assert rejects[0]["text"] == "{"
    assert base64.b64decode(rejects[2]["base64"]) == b"\xff\xfe"


def test_emit_of_valid_lines_exits_0_and_prints_counts_as_json(
    run: Run, log: Log, tmp_path: Path
) -> None:
    (tmp_path / "events.jsonl").write_bytes(
        b"\n".join(event(f"emit:{uuid4()}") for _ in range(500))
    )
    result = run("emit", tmp_path / "events.jsonl", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"sent": 500, "refused": 0, "undelivered": 0, "reasons": {}}
    assert len(log.values()) == 500


def test_emit_strict_stops_at_the_first_refused_line(run: Run, log: Log) -> None:
    result = run(
        "emit",
        "-",
        "--strict",
        input=b"\n".join([event(f"emit:{uuid4()}"), b"{", event(f"emit:{uuid4()}")]),
    )
    assert result.exit_code == 1
    assert "sent: 1; refused: 1" in result.stdout
    assert len(log.values()) == 1


def test_emit_prints_only_the_first_of_many_refused_lines(run: Run) -> None:
    result = run("emit", input=b"{\n" * 50)
    assert "refused: 50" in result.stdout
    assert len(result.stderr.splitlines()) == 21


def test_emit_of_a_missing_file_is_wrong_use(run: Run, tmp_path: Path) -> None:
    assert run("emit", tmp_path / "none.jsonl").exit_code == 2


# --- import --------------------------------------------------------------------------------------

MAPPING = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date" }
entity = { prefix = "sheet:PREFIX", columns = ["Form"] }
constants = { mode = "manual" }
fields = { count = { column = "New", type = "integer" } }
"""


class Sheet:
    """A table and its mapping in a folder."""

    def __init__(self, folder: Path) -> None:
        self.table, self.mapping, self.rejects = (
            folder / "members.csv",
            folder / "members.toml",
            folder / "rejected.csv",
        )
        self.mapping.write_text(MAPPING.replace("PREFIX", str(uuid4())), encoding="utf-8")
        self.rows("R-1,2022-03-03,CG-AC001-B0001,12", "R-2,2022-03-04,CG-AC001-B0002,7")

    def rows(self, *rows: str) -> None:
        self.table.write_text("\n".join(["Form,Date,Booth,New", *rows]), encoding="utf-8")


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    return Sheet(tmp_path)


def test_a_second_import_of_the_same_file_sends_the_same_bytes_which_count_once(
    run: Run, log: Log, sheet: Sheet
) -> None:
    assert run("import", sheet.table, "--mapping", sheet.mapping).exit_code == 0
    first = sorted(value or b"" for value in log.values())
    assert run("import", sheet.table, "--mapping", sheet.mapping).exit_code == 0
    assert sorted(value or b"" for value in log.values()) == first
    assert len(first) == 2


def test_a_corrected_file_needs_a_higher_version(run: Run, log: Log, sheet: Sheet) -> None:
    run("import", sheet.table, "--mapping", sheet.mapping)
    sheet.rows("R-1,2022-03-03,CG-AC001-B0001,13")
    assert run("import", sheet.table, "--mapping", sheet.mapping, "--as-version", 2).exit_code == 0
    sent = [orjson.loads(value or b"") for value in log.values()]
    counts = {(event["entity"][-3:], event["version"]): event["data"]["count"] for event in sent}
    assert counts == {("R-1", 1): 12, ("R-2", 1): 7, ("R-1", 2): 13}


def test_rejected_rows_are_printed_and_written_with_their_cells(
    run: Run, log: Log, sheet: Sheet
) -> None:
    sheet.rows(
        "R-1,2022-03-03,CG-AC001-B0001,many",
        "R-2,2022-03-03,CG-AC001-B0001,7",
        "R-3,2022-03-03,CG-AC001-B0777,1",
        "R-4,2022-03-03,CG-AC002-B0005,1",
    )
    result = run("import", sheet.table, "--mapping", sheet.mapping, "--rejects", sheet.rejects)
    assert result.exit_code == 1
    assert "sent: 1; rejected: 3" in result.stdout
    assert "row 2: invalid: New: 'many' is not a whole number" in result.stderr
    with sheet.rejects.open(encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [(entry["row"], entry["reason"], entry["Form"]) for entry in rejected] == [
        ("2", "invalid", "R-1"),
        ("4", "unknown_unit", "R-3"),
        ("5", "closed_unit", "R-4"),
    ]
    assert len(log.values()) == 1


def test_a_dry_run_needs_no_kafka_and_sends_nothing(
    sheet: Sheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRAVAH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(
        app, ["import", str(sheet.table), "--mapping", str(sheet.mapping), "--dry-run", "--json"]
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "sent": 0,
        "good": 2,
        "rejected": 0,
        "reasons": {},
        "dry_run": True,
    }


@pytest.mark.parametrize("wrong", ["mapping", "table"])
def test_a_mapping_or_table_that_cannot_be_used_is_wrong_use(sheet: Sheet, wrong: str) -> None:
    {"mapping": sheet.mapping, "table": sheet.table}[wrong].write_text("", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["import", str(sheet.table), "--mapping", str(sheet.mapping), "--dry-run"]
    )
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# --- simulate ------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """Options with the small world's registry."""
    folder = small_world.write(tmp_path)
    return [
        "--registry",
        str(folder / "small.units.csv"),
        "--registry",
        str(folder / "small.parents.csv"),
        "--from",
        "2022-03-01",
        "--to",
        "2022-04-10",
    ]


def test_simulate_sends_the_requested_number_of_deliveries_and_prints_their_sorts(
    run: Run, log: Log, small: list[str]
) -> None:
    result = run("simulate", "--events", 2_000, "--json", *small)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    values = log.values()
    assert len(values) == summary["deliveries"] == pytest.approx(2_000, rel=0.02)
    assert None in values
    assert set(summary["by_sort"]) == {
        "report",
        "observation",
        "correction",
        "retraction",
        "check",
        "repeat",
        "broken",
    }


def test_simulate_to_a_file_writes_lines_that_emit_accepts_but_for_the_broken_ones(
    run: Run, log: Log, small: list[str], tmp_path: Path
) -> None:
    lines = tmp_path / "campaign.jsonl"
    assert run("simulate", "--events", 1_000, "--broken", 0, "--out", lines, *small).exit_code == 0
    assert (
        run("simulate", "--events", 1_000, "--broken", 0, "--out", "-", *small).stdout_bytes
        == lines.read_bytes()
    )
    assert run("emit", lines).exit_code == 0
    assert sorted(value or b"" for value in log.values()) == sorted(lines.read_bytes().splitlines())


def test_simulate_leaves_out_of_a_file_records_that_are_no_line_of_text(
    run: Run, small: list[str], tmp_path: Path
) -> None:
    result = run(
        "simulate",
        "--events",
        2_000,
        "--broken",
        0.1,
        "--out",
        tmp_path / "campaign.jsonl",
        "--json",
        *small,
    )
    summary = json.loads(result.stdout)
    assert summary["left_out"] > 0
    assert len((tmp_path / "campaign.jsonl").read_bytes().splitlines()) == summary["deliveries"]


def test_simulate_keeps_the_requested_speed(
    run: Run, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("cli.simulate.time.monotonic", lambda: sum(slept))
    monkeypatch.setattr("cli.simulate.time.sleep", slept.append)
    result = run(
        "simulate", "--events", 1_000, "--speed", 50, "--out", tmp_path / "campaign.jsonl", *small
    )
    assert result.exit_code == 0
    assert sum(slept) == pytest.approx(1_000 / 50, abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--from", "tomorrow"],
        ["--from", "2022-05-01", "--to", "2022-04-01"],
        ["--repeats", "0.5", "--corrections", "0.5"],
    ],
)
def test_impossible_options_are_wrong_use(run: Run, small: list[str], wrong: list[str]) -> None:
    result = run("simulate", *small, *wrong)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
