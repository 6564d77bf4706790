"""`pravah import`: a CSV or XLSX table to Kafka, by a mapping file."""

import csv
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
import typer

from cli.progress import Advance, progress
from pravah.events import EventError
from pravah.producer import EventProducer, ProducerError
from pravah.settings import Settings
from producers.gateway.issued_hashes import open_issued_hashes
from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables import (
    Importer,
    ImportMapping,
    MappingError,
    Table,
    TableError,
    open_mapped_table,
)
from producers.topics.registry import read_registry

# Rejected rows that are printed; the file of `--rejects` has all of them.
MAX_SHOWN = 20


def import_file(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A table: .csv (UTF-8), .tsv or .xlsx, with a row that names its columns.",
        ),
    ],
    *,
    mapping: Annotated[
        Path,
        typer.Option(
            help="How rows become events: a TOML file, see producers/examples/members.toml."
        ),
    ],
    sheet: Annotated[
        str | None, typer.Option(help="The workbook's sheet; else the mapping's, else the first.")
    ] = None,
    as_version: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Version of every row: a corrected file needs a higher one than the file before.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check only, send nothing. Needs no Kafka; units are checked only by their form.",
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Write rejected rows here as CSV: row number, reason, detail, then the row."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send the rows of a CSV or XLSX file as events.

    Prints how many rows were sent and rejected. Importing the same file again changes nothing. To
    correct rows, raise their version: by a version column in the mapping, or by --as-version 2 for
    the whole file. Persons are pseudonymised with the key in PRAVAH_PERSON_KEY; the gateway's file
    stores which hashes were issued. Exit 1 if a row was rejected or not delivered.
    """
    try:
        how = ImportMapping.from_toml(mapping.read_text(encoding="utf-8"))
        with ExitStack() as stack:
            opened = stack.enter_context(open_mapped_table(table, how, sheet=sheet))
            for note in opened.notes:
                typer.echo(f"{table.name}: {note}", err=True)
            advance = stack.enter_context(progress("importing", opened.total))
            settings = Settings()
            registry = None if dry_run else read_registry(settings.kafka)
            issued_hashes = (
                stack.enter_context(open_issued_hashes(settings))
                if how.is_personal and not dry_run
                else None
            )
            importer = Importer(
                how,
                opened.columns,
                as_version=as_version,
                registry=registry,
                pseudonymiser=Pseudonymiser.from_settings(settings, issued_hashes),
            )
            rejected = stack.enter_context(_Rejects(rejects, opened.columns))
            _send(
                opened,
                importer,
                None if dry_run else EventProducer(settings.kafka),
                rejected,
                advance,
            )
    except (MappingError, TableError) as error:
        raise typer.BadParameter(
            str(error), param_hint="--mapping" if isinstance(error, MappingError) else "FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    if opened.skipped:
        typer.echo(f"skipped, as the mapping says: {len(opened.skipped):,} rows", err=True)
    rejected.print_result(as_json=as_json, dry_run=dry_run)
    raise typer.Exit(0 if not rejected.reasons else 1)


def _send(
    opened: Table,
    importer: Importer,
    producer: EventProducer | None,
    rejected: "_Rejects",
    advance: Advance,
) -> None:
    """Send every row; `producer` is None for a dry run."""
    try:
        with ExitStack() as stack:
            if producer is not None:
                stack.enter_context(producer)
            before = opened.header_row
            for number, row in opened.rows:
                advance(
                    number - before,
                    f"{rejected.accepted:,} rows, {rejected.reasons.total():,} rejected",
                )
                before = number
                try:
                    imported = importer.convert(number, row)
                    if producer is not None:
                        producer.send(imported.value)
                    rejected.accepted += 1
                except EventError as error:
                    rejected.add(number, error.reason, error.detail, row)
    except ProducerError as error:
        if not error.undelivered:
            raise  # Kafka is not there, or does not keep up
        rejected.accepted -= len(error.undelivered)
        for report in error.undelivered:
            rejected.add(
                importer.find_row(report.value or b""),
                "undelivered",
                f"Kafka did not confirm it, import again: {report.error}",
                [],
            )


class _Rejects:
    """Counts of sent and rejected rows; prints and writes the rejected ones."""

    def __init__(self, path: Path | None, columns: list[str]) -> None:
        self.accepted = 0
        self.reasons: Counter[str] = Counter()
        self._file = path.open("w", encoding="utf-8", newline="") if path else None
        self._writer = csv.writer(self._file) if self._file else None
        if self._writer:
            self._writer.writerow(["row", "reason", "detail", *columns])

    def add(self, number: int | None, reason: str, detail: str, row: list[Any]) -> None:
        self.reasons[reason] += 1
        if self.reasons.total() <= MAX_SHOWN:
            typer.echo(f"row {number or '?'}: {reason}: {detail}", err=True)
        elif self.reasons.total() == MAX_SHOWN + 1:
            typer.echo(
                "… further rejected rows are only counted; --rejects FILE keeps them all", err=True
            )
        if self._writer:
            self._writer.writerow([number, reason, detail, *row])

    def print_result(self, *, as_json: bool, dry_run: bool) -> None:
        verb = "would be sent" if dry_run else "sent"
        if as_json:
            counts = {
                "sent": 0 if dry_run else self.accepted,
                "good": self.accepted,
                "rejected": self.reasons.total(),
            }
            typer.echo(
                orjson.dumps({**counts, "reasons": dict(self.reasons), "dry_run": dry_run}).decode()
            )
        else:
            typer.echo(f"{verb}: {self.accepted:,}; rejected: {self.reasons.total():,}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
