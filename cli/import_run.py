"""One run of `pravah import`: rows to events, to Kafka or to a preview."""

import shlex
from collections import Counter
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from secrets import token_bytes

import typer

import reference
from cli.progress import Advance, print_next, progress
from pravah.days import KOLKATA
from pravah.events import EventError
from pravah.producer import EventProducer, ProducerError
from pravah.settings import Settings
from producers.gateway.issued_hashes import open_issued_hashes
from producers.mapping.conversions import Cell
from producers.mapping.gazetteer import Gazetteer, read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables import Importer, ImportMapping, Table, TableError, open_mapped_table
from producers.tables.preview import Preview
from producers.tables.rejects import RejectedLines, RejectedRows, RejectsFile
from producers.topics.registry import read_registry
from reference.defaults import default_dictionary
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv

# Rejected rows that are printed; the file of `--rejects` has all of them.
MAX_SHOWN = 20


@dataclass
class ImportRun:
    """An import, or a dry run of one."""

    table: Path
    sheet: str | None = None
    """Instead of the mapping's."""
    as_version: int | None = None
    dry_run: bool = True
    registry: Path | None = None
    """A folder with a registry against which a dry run checks units."""
    aliases: Path | None = None
    """A folder with alias files, instead of the gateway's."""
    rejects: Path | None = None
    """The file of rejected rows."""
    max_rows: int = 0
    """Rows that a dry run shows as they would count."""
    accepted: int = 0
    """Rows that were sent, or would be."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of rejected rows."""
    skipped: int = 0
    """Rows that the mapping skips."""
    last_day: date | None = None
    """The last day in Asia/Kolkata for which a row was accepted."""
    preview: Preview = field(init=False)

    def __post_init__(self) -> None:
        self.preview = Preview(default_dictionary(), self.max_rows)

    def run(self, mapping: ImportMapping) -> None:
        """Convert every row, and send the events unless it is a dry run.

        Args:
            mapping: how rows become events.

        Raises:
            MappingError: the mapping does not fit the table.
            TableError: the table cannot be read.
            RegistryError: the files of the registry or of aliases are invalid.
            ProducerError: Kafka is not there, or does not keep up.
            OSError, UnicodeDecodeError: a file cannot be read or written.
        """
        if self.rejects is not None and self.rejects.resolve() == self.table.resolve():
            msg = f"{self.rejects} is the table itself; name another file for rejected rows"
            raise TableError(msg)
        self._mapping = mapping
        with ExitStack() as stack:
            table = stack.enter_context(open_mapped_table(self.table, mapping, sheet=self.sheet))
            if table.similar_sheets:
                raise TableError(_explain_sheets(self.table, table.similar_sheets))
            for note in table.notes:
                self._warn(f"{self.table.name}: {note}")
            advance = stack.enter_context(progress("importing", table.total))
            importer = self._make_importer(stack, table.columns)
            rejected = stack.enter_context(self._open_rejects(table.columns))
            self._send(table, importer, rejected, advance)
        for note in importer.notes:
            self._warn(f"{self.table.name}: {note}")
        self.skipped = len(table.skipped)

    def _make_importer(self, stack: ExitStack, columns: list[str]) -> Importer:
        settings = Settings()
        registry = self._read_registry(settings)
        gazetteer = None
        if registry is not None and self._mapping.has_names:
            folder = self.aliases or settings.gateway_aliases
            gazetteer = Gazetteer(registry, {} if folder is None else read_aliases(folder))
        pseudonymiser = None
        if self._mapping.is_personal:
            issued = None if self.dry_run else stack.enter_context(open_issued_hashes(settings))
            pseudonymiser = Pseudonymiser.from_settings(settings, issued)
            if pseudonymiser is None and self.dry_run:
                self._warn(
                    "PRAVAH_PERSON_KEY is not set: hashes of persons are made with a key for this "
                    "check only"
                )
                pseudonymiser = Pseudonymiser([token_bytes(16)])
        return Importer(
            self._mapping,
            columns,
            as_version=self.as_version,
            registry=registry,
            gazetteer=gazetteer,
            pseudonymiser=pseudonymiser,
            max_future_hours=settings.max_future_hours,
        )

    def _read_registry(self, settings: Settings) -> Registry | None:
        if not self.dry_run:
            return read_registry(settings.kafka)
        if self.registry is None and not self._mapping.has_names:
            self._warn("units are checked by the form of their codes only; --registry checks more")
            return None
        if self.registry is None:
            self._warn("units are looked up in the registry of Pravah; --registry names another")
        files = reference.registry_files() if self.registry is None else self.registry.glob("*.csv")
        return registry_from_csv(
            {str(path): path.read_text(encoding="utf-8").splitlines() for path in files}
        )

    def _send(
        self, table: Table, importer: Importer, rejected: RejectsFile | None, advance: Advance
    ) -> None:
        try:
            with ExitStack() as stack:
                producer = None
                if not self.dry_run:
                    producer = stack.enter_context(EventProducer(Settings().kafka))
                before = table.header_row
                for number, row in table.rows:
                    total = self.reasons.total()
                    advance(number - before, f"{self.accepted:,} rows, {total:,} rejected")
                    before = number
                    try:
                        imported = importer.convert(number, row)
                        if producer is None:
                            self.preview.add(number, imported)
                        else:
                            producer.send(imported.value)
                        self.accepted += 1
                        self._note_day(imported.event.occurred_at)
                    except EventError as error:
                        self._reject(rejected, number, error.reason, error.detail, row)
        except ProducerError as error:
            if not error.undelivered:
                raise  # Kafka is not there, or does not keep up
            self.accepted -= len(error.undelivered)
            reports = {
                importer.find_row(report.value or b""): report.error for report in error.undelivered
            }
            for number, row in self._read_rows(set(reports)):
                detail = f"Kafka did not confirm it, import again: {reports[number]}"
                self._reject(rejected, number, "undelivered", detail, row)

    def _note_day(self, instant: datetime) -> None:
        day = instant.astimezone(KOLKATA).date()
        self.last_day = day if self.last_day is None else max(day, self.last_day)

    def _read_rows(self, numbers: set[int | None]) -> list[tuple[int, list[Cell]]]:
        """Read some rows of the table again."""
        with open_mapped_table(self.table, self._mapping, sheet=self.sheet) as table:
            return [(number, row) for number, row in table.rows if number in numbers]

    def _reject(
        self, rejected: RejectsFile | None, number: int, reason: str, detail: str, row: list[Cell]
    ) -> None:
        self.reasons[reason] += 1
        if self.reasons.total() <= MAX_SHOWN:
            self._warn(f"row {number}: {reason}: {detail}")
        elif self.reasons.total() == MAX_SHOWN + 1:
            self._warn("… further rejected rows are only counted; --rejects FILE keeps them all")
        self.preview.add_refusal(number, reason, detail)
        if rejected is not None:
            rejected.add(number, reason, detail, row)

    def _open_rejects(self, columns: list[str]) -> AbstractContextManager[RejectsFile | None]:
        if self.rejects is None:
            return nullcontext()
        if self.rejects.suffix.lower() == ".xlsx":
            return RejectedRows(self.rejects, columns, self._mapping, sheet=self.sheet)
        return RejectedLines(self.rejects, columns)

    @staticmethod
    def _warn(text: str) -> None:
        typer.echo(text, err=True)


def print_import_next(run: ImportRun, mapping: Path) -> None:
    """Say what follows an import or a dry run."""
    given = shlex.join([str(run.table), "--mapping", str(mapping), *_options(run)])
    if run.reasons and run.rejects is None:
        print_next(
            (f"pravah import {given} --rejects rejected.xlsx --dry-run", "the rows to correct")
        )
    elif run.dry_run:
        print_next((f"pravah import {given}", "sends them"))
    elif run.last_day is not None:
        print_next(
            ("pravah status", "how many are in the figures"),
            (f"pravah watch completeness --date {run.last_day}", "who reported for which day"),
        )


def _options(run: ImportRun) -> list[str]:
    """The options that decide what a row becomes, as they were given."""
    given = {
        "--sheet": run.sheet,
        "--as-version": run.as_version,
        "--aliases": run.aliases,
        "--rejects": run.rejects,
    }
    return [
        text for name, value in given.items() if value is not None for text in (name, str(value))
    ]


def _explain_sheets(table: Path, sheets: list[str]) -> str:
    shown = ", ".join(map(repr, sheets))
    return (
        f"{table}: the sheets {shown} all have the columns of the mapping, and one import reads "
        f"one sheet; import each of them with --sheet, such as --sheet {sheets[0]!r}"
    )
