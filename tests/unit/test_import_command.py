"""`pravah import` without servers: the dry run, rejected rows as a file, the sheet to read."""

import json
from pathlib import Path
from typing import Self

import openpyxl
import pytest
import typer
from typer.testing import CliRunner

import cli.import_run
from cli.import_file import import_file
from pravah.producer import DeliveryReport, ProducerError
from tests.support import small_world
from tests.support.tables import BOOTH, HEADER, MAPPING, write_csv, write_workbook

app = typer.Typer()
app.command("import")(import_file)
app.command("other")(lambda: None)
ROWS: list[list[object]] = [
    ["R1", "03/05/2022", BOOTH, 12],
    ["R2", "03/05/2022", BOOTH, "x"],
    ["R3", "03/05/2022", BOOTH, "y"],
    ["R4", "03/05/2092", BOOTH, 4],
    ["R5", "04/05/2022", BOOTH, 30],
]
TABLE: list[list[object]] = [list(HEADER), *ROWS]


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["import", *map(str, arguments)])
    assert "Traceback" not in result.output
    # without the box around errors, which breaks their lines
    errors = " ".join(result.stderr.replace("│", " ").split())
    return result.exit_code, result.stdout, errors


def test_a_dry_run_shows_rows_as_they_would_count_and_reasons_with_counts(
    tmp_path: Path, mapping: Path
) -> None:
    table = write_csv(tmp_path / "t.csv", TABLE)
    code, stdout, _ = run(table, "--mapping", mapping, "--dry-run")
    assert code == 1
    lines = stdout.splitlines()
    assert lines[:3] == [
        f"row 2: 2022-05-03 {BOOTH} membership: members_manual 12",
        f"row 6: 2022-05-04 {BOOTH} membership: members_manual 30",
        "all rows would count / कुल गिनती: members_manual 42",
    ]
    assert lines[3] == ("refused / अस्वीकृत: 2 (rows 3, 4): invalid: New: 'x' is not a whole number")
    assert "refused / अस्वीकृत: 1 (rows 5): far_future: " in lines[4]
    assert lines[5] == "would be sent: 2; rejected: 3"


def test_a_dry_run_as_json_has_the_rows_if_they_are_asked_for(
    tmp_path: Path, mapping: Path
) -> None:
    table = write_csv(tmp_path / "t.csv", TABLE)
    found = json.loads(run(table, "--mapping", mapping, "--dry-run", "--json", "--rows", 1)[1])
    assert [row["number"] for row in found["rows"]] == [2]
    assert found["totals"] == {"members_manual": 42}
    assert [(one["count"], one["rows"]) for one in found["refusals"]] == [(2, [3, 4]), (1, [5])]
    found = json.loads(run(table, "--mapping", mapping, "--dry-run", "--json")[1])
    assert "rows" not in found


def test_a_dry_run_checks_units_against_a_registry_if_one_is_named(
    tmp_path: Path, mapping: Path
) -> None:
    rows = [["R1", "03/03/2022", "CG-AC001-B0001", 1], ["R2", "03/03/2022", BOOTH, 1]]
    table = write_csv(tmp_path / "t.csv", [HEADER, *rows])
    assert run(table, "--mapping", mapping, "--dry-run")[0] == 0
    registry = tmp_path / "registry"
    registry.mkdir()
    small_world.write(registry)
    code, stdout, _ = run(table, "--mapping", mapping, "--dry-run", "--registry", registry)
    assert (code, "1 (rows 3): unknown_unit" in stdout) == (1, True)


def test_rejected_rows_become_a_workbook_that_the_same_mapping_reads(
    tmp_path: Path, mapping: Path
) -> None:
    table, rejects = write_csv(tmp_path / "t.csv", TABLE), tmp_path / "rejects.xlsx"
    assert run(table, "--mapping", mapping, "--dry-run", "--rejects", rejects)[0] == 1
    book = openpyxl.load_workbook(rejects)
    assert [row[0].value for row in book.worksheets[0].iter_rows()] == ["Form", "R2", "R3", "R4"]
    for row in book.worksheets[0].iter_rows(min_row=2):
        row[1].value, row[3].value = "03/05/2022", "7"
    book.save(rejects)
    code, stdout, _ = run(rejects, "--mapping", mapping, "--dry-run")
    assert (code, "members_manual 21" in stdout) == (0, True)


@pytest.mark.parametrize("name", ["t.csv", "t.xlsx"])
def test_the_table_itself_is_not_overwritten(tmp_path: Path, mapping: Path, name: str) -> None:
    write = write_csv if name == "t.csv" else write_workbook
    table = write(tmp_path / name, TABLE)
    before = table.read_bytes()
    code, _, stderr = run(table, "--mapping", mapping, "--dry-run", "--rejects", table)
    assert (code, "is the table itself" in stderr, table.read_bytes() == before) == (2, True, True)


def test_a_file_of_rejected_rows_that_cannot_be_written_is_refused_before_rows_are_sent(
    tmp_path: Path, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.import_run, "EventProducer", None)
    monkeypatch.setattr(cli.import_run, "read_registry", lambda _: None)
    table, text = write_csv(tmp_path / "t.csv", TABLE), mapping.read_text(encoding="utf-8")
    for rejects in (tmp_path / "none" / "r.xlsx", tmp_path, mapping):
        code, stdout, _ = run(table, "--mapping", mapping, "--rejects", rejects)
        assert (code, stdout) == (2, "")
    assert mapping.read_text(encoding="utf-8") == text


def test_of_several_sheets_with_the_columns_one_must_be_named(
    tmp_path: Path, mapping: Path
) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Members of May"])
    for name, row in (("April", ROWS[0]), ("May", ROWS[4])):
        sheet = book.create_sheet(name)
        sheet.append(HEADER)
        sheet.append(row)
    table = tmp_path / "t.xlsx"
    book.save(table)
    code, _, stderr = run(table, "--mapping", mapping, "--dry-run")
    assert code == 2
    assert "the sheets 'April', 'May' all have the columns of the mapping" in stderr
    code, stdout, _ = run(table, "--mapping", mapping, "--dry-run", "--sheet", "May")
    assert (code, "members_manual 30" in stdout) == (0, True)
    book["April"].delete_rows(2)
    book.save(table)
    code, stdout, _ = run(table, "--mapping", mapping, "--dry-run")
    assert (code, "members_manual 30" in stdout) == (0, True)
    del book["April"]
    book.save(table)
    code, stdout, stderr = run(table, "--mapping", mapping, "--dry-run")
    assert (code, "members_manual 30" in stdout) == (0, True)
    assert "only sheet 'May' is read, which has the columns, not Sheet" in stderr


def test_a_mapping_is_asked_for(tmp_path: Path) -> None:
    code, _, stderr = run(write_csv(tmp_path / "t.csv", TABLE))
    assert (code, "--suggest" in stderr) == (2, True)


def test_rows_that_kafka_did_not_confirm_are_in_the_file_with_their_cells(
    tmp_path: Path, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Producer:
        """Confirms the first event only."""

        def __init__(self, *_: object) -> None:
            self.sent: list[bytes] = []

        def send(self, value: bytes) -> None:
            self.sent.append(value)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            reports = [
                DeliveryReport("", value, partition=0, offset=None, error=TimeoutError("late"))
                for value in self.sent[1:]
            ]
            msg = "Kafka did not confirm every record"
            raise ProducerError(msg, reports)

    monkeypatch.setattr(cli.import_run, "EventProducer", Producer)
    monkeypatch.setattr(cli.import_run, "read_registry", lambda _: None)
    table, rejects = write_csv(tmp_path / "t.csv", TABLE), tmp_path / "rejects.xlsx"
    code, stdout, _ = run(table, "--mapping", mapping, "--rejects", rejects)
    assert (code, stdout) == (1, "sent: 1; rejected: 4\n")
    rows = list(openpyxl.load_workbook(rejects).worksheets[0].iter_rows(values_only=True))
    assert [row[0] for row in rows] == ["Form", "R2", "R3", "R4", "R5"]
    assert rows[4][:4] == ("R5", "04/05/2022", BOOTH, "30")
    assert "undelivered" in str(rows[4][4])
