"""`pravah import --suggest`: a mapping guessed from a table, and rows as they would count by it."""

import shlex
from contextlib import suppress
from pathlib import Path

import orjson
import typer

from cli.import_preview import print_preview
from cli.import_run import ImportRun
from cli.progress import print_next
from producers.tables import ImportMapping, MappingError, TableError
from producers.tables.reader import TableFile
from producers.tables.suggestion import Suggestion, suggest_mapping
from producers.tables.suggestion_text import write_toml


def print_suggestion(run: ImportRun, output: Path | None, *, as_json: bool) -> int:
    """Print or write a mapping for a table, then how rows would count by it.

    Args:
        run: a dry run of the table.
        output: the new mapping file; None: it is printed, and the rows go to standard error.
        as_json: print one JSON object instead.

    Returns:
        The exit code: 1 if a person must complete the mapping, or a row was rejected by it.

    Raises:
        BadParameter: the output is there already.
        TableError, OSError: the table cannot be read.
    """
    if output is not None and output.exists():
        msg = f"{output} is there already; name a new file, or remove it"
        raise typer.BadParameter(msg, param_hint="--output")
    suggestion = _suggest(run)
    text = write_toml(suggestion)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if output is None and not as_json:
        typer.echo(text)
    findings: list[str] = []
    try:
        run.run(ImportMapping.from_toml(text))
    except MappingError as error:
        findings = list(map(str, error.findings))
    if as_json:
        content = {
            "mapping": text,
            "guesses": [guess._asdict() for guess in suggestion.guesses],
            "unused": dict(suggestion.unused),
            "findings": findings,
            "good": run.accepted,
            "rejected": run.reasons.total(),
            **run.preview.to_json(),
        }
        typer.echo(orjson.dumps(content).decode())
        return 1 if findings or run.reasons else 0
    for finding in findings:
        typer.echo(finding, err=True)
    if not findings:
        print_preview(run.preview, on_stderr=output is None)
        typer.echo(
            f"would be sent: {run.accepted:,}; rejected: {run.reasons.total():,}",
            err=output is None,
        )
    if output is not None:
        given = shlex.join([str(run.table), "--mapping", str(output)])
        print_next((f"pravah import {given} --dry-run", f"after a look at {output}"))
    return 1 if findings or run.reasons else 0


def _suggest(run: ImportRun) -> Suggestion:
    """Guess the mapping of the table, or of the sheet with most columns, which `run` then reads."""
    first = TableFile(run.table, sheet=run.sheet)
    files = [first]
    for name in first.other_sheets if run.sheet is None else []:
        with suppress(TableError):  # a sheet without a table
            files.append(TableFile(run.table, sheet=name))
    filled = [one for one in files if next(one.iter_rows(), None)] or files
    file = max(filled, key=lambda one: sum(map(bool, one.header.columns)))
    same = [one.sheet for one in filled if one.header.columns == file.header.columns]
    if len(same) > 1:
        typer.echo(
            f"the sheets {', '.join(map(repr, same))} have the same columns: import each of them "
            f"with --sheet; the rows shown are those of {file.sheet!r}",
            err=True,
        )
    run.sheet = file.sheet or None
    return suggest_mapping(
        file.header.columns,
        (row for _, row in file.iter_rows()),
        name=run.table.stem,
        titles=file.titles,
        sheet=file.sheet if len(files) > 1 and len(same) == 1 else None,
    )
