"""Back-checks: the sheet for the field, and outcomes as new versions of what was checked."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
from clickhouse_driver import Client

from operations.reconcile import author
from pravah.days import KOLKATA
from pravah.languages import Lang, Language, languages_of
from pravah.producer import EventProducer
from pravah.settings import Settings
from producers.mapping.delivery_ids import derive_event_id
from producers.tables.field_sheet import read_field_sheet, write_field_sheet
from schemas.back_check import CheckedEntity, SheetError, outcomes_from_csv
from schemas.claims import describe_claim
from schemas.field_sheet import (
    KEY_COLUMNS,
    FieldLine,
    Findings,
    headings,
    is_field_sheet,
    read_findings,
)
from sinks.back_check_sheet import units_on_sheet
from sinks.back_checks import Drawing, DrawnEntity, current_events
from sinks.connection import connect

if TYPE_CHECKING:
    from pravah.events import Kind


@dataclass(frozen=True)
class OutcomeEvents:
    """What becomes of the outcomes on a sheet."""

    events: list[dict[str, Any]]
    """The next version of each entity that is still as it was drawn."""
    entered_before: int
    changed: list[CheckedEntity]
    """Entities that were changed or retracted since they were drawn."""


def keys_file(sheet: Path) -> Path:
    """The file for the machine beside a sheet: it has the keys of each line."""
    return sheet.with_name(f"{sheet.stem}.keys.csv")


def write_sheet(
    sheet: Path, client: Client, drawing: Drawing, drawn: Sequence[DrawnEntity], lang: Lang
) -> None:
    """Write the sheet for the field, and beside it the file with the keys of its lines.

    Args:
        sheet: the file; .xlsx or CSV.
        client: the writer's, for names and contacts.
        drawing: what was drawn.
        drawn: the sample.
        lang: of the headings and the sentences.

    Raises:
        OSError: a file cannot be written.
    """
    kind = cast("Kind", drawing.kind)
    known = units_on_sheet(client, {one.unit for one in drawn})
    metrics = {
        row[0]: {"hi": row[1], "en": row[2]}
        for row in client.execute("SELECT metric, name_hi, name_en FROM metrics")
    }
    lines = []
    for number, one in enumerate(drawn, start=1):
        unit, data = known[one.unit], orjson.loads(one.data)
        metric = metrics.get(data.get("metric"), {})
        claims = (
            describe_claim(kind, data, language, metric=metric.get(language, ""))
            for language in languages_of(lang)
        )
        lines.append(
            FieldLine(
                number=number,
                unit=_join(unit.names, lang),
                code=one.unit,
                call=_join(unit.call, lang),
                phone=_group_digits(unit.phone),
                day=str(one.day),
                claim="\n".join(claims),
            )
        )
    title = f"{drawing.sample}: {drawing.unit}, {drawing.first} to {drawing.last}"
    write_field_sheet(sheet, headings(lang), lines, title=title)
    with keys_file(sheet).open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(KEY_COLUMNS)
        out.writerows(
            (number, one.key, one.entity, one.version, one.unit, kind, one.day, one.data)
            for number, one in enumerate(drawn, start=1)
        )


def _group_digits(phone: str) -> str:
    """An Indian number as people read it; the spaces also keep spreadsheets from adding it up."""
    return re.sub(r"^(\+91)(\d{5})(\d{5})$", r"\1 \2 \3", phone)


def _join(names: dict[Language, str], lang: Lang) -> str:
    """A name in each language of a choice, each on a line; once if they are the same."""
    return "\n".join(dict.fromkeys(filter(None, (names[one] for one in languages_of(lang)))))


def read_sheet(sheet: Path, keys: Path | None) -> Findings:
    """Read a sheet that came back from the field.

    A sheet that an earlier Pravah wrote has its keys in itself.

    Args:
        sheet: .xlsx or CSV.
        keys: the file with the keys; default: the one beside the sheet.

    Raises:
        SheetError: with all findings, or since there is no file with the keys.
        TableError: the sheet is no table.
        OSError: it cannot be read.
    """
    columns, rows = read_field_sheet(sheet)
    if not is_field_sheet(columns):
        lines = sheet.read_text(encoding="utf-8-sig").splitlines()
        return Findings(outcomes_from_csv(lines), 0)
    keys = keys or keys_file(sheet)
    if not keys.exists():
        msg = (
            f"{keys} is missing, which `pravah backcheck draw` wrote beside the sheet: it has the "
            "keys of its lines; --keys names it elsewhere"
        )
        raise SheetError([msg])
    with keys.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in KEY_COLUMNS if name not in (reader.fieldnames or ())]:
            msg = f"{keys}: the columns {', '.join(missing)} are missing; it is the file of --keys"
            raise SheetError([msg])
        return read_findings(columns, rows, list(reader))


def outcome_events(settings: Settings, outcomes: Iterable[CheckedEntity]) -> OutcomeEvents:
    """Compare outcomes with the current versions of their entities, and build the events.

    Args:
        settings: of the deployment.
        outcomes: of a sheet that came back.
    """
    checked = list(outcomes)
    with connect(settings.clickhouse, "writer") as client:
        current = current_events(client, checked)
    events, changed, entered_before = [], [], 0
    for one in checked:
        now = current.get((one.key, one.entity))
        if now is not None and now["version"] == one.version and now["op"] != "retract":
            events.append(_next_version(one, now))
        elif (
            now is not None
            and now["version"] == one.version + 1
            and now["verification"] == one.outcome
        ):
            entered_before += 1
        else:
            changed.append(one)
    return OutcomeEvents(events, entered_before, changed)


def send_events(settings: Settings, events: Iterable[dict[str, Any]]) -> None:
    """Send events to Kafka, and wait until it has confirmed them.

    Raises:
        ProducerError: Kafka did not confirm all of them; sending them again is safe.
    """
    with EventProducer(settings.kafka) as producer:
        for event in events:
            producer.send(event)


def _next_version(checked: CheckedEntity, now: dict[str, Any]) -> dict[str, Any]:
    version = checked.version + 1
    return {
        "event_id": str(derive_event_id(f"{checked.key}:{checked.entity}", version)),
        "entity": checked.entity,
        "version": version,
        "unit": now["unit"],
        "kind": now["kind"],
        "occurred_at": now["occurred_at"].isoformat(),
        "reported_at": datetime.now(KOLKATA).isoformat(timespec="seconds"),
        "source": {"tool": "back-check", "producer": author()},
        "verification": checked.outcome,
        "data": orjson.loads(now["data"]),
        **{name: now[name] for name in ("reporter", "evidence") if now[name]},
    }
