"""`pravah import`: a CSV or XLSX table to Kafka, by a mapping file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.import_run import ImportRun

# Rows that a dry run shows as they would count.
_MAX_PREVIEWED = 10


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
        Path | None,
        typer.Option(
            help="How rows become events: a TOML file, see producers/examples/members.toml."
        ),
    ] = None,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="Write a mapping for the table, guessed from its header and first rows, and show "
            "how rows would count by it. Sends nothing.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="With --suggest: the new mapping file; else it is printed."),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            help="The workbook's sheet; else the mapping's, else the one that has the columns."
        ),
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
            help="Check only, send nothing, show rows as they would count. Needs no Kafka; units "
            "are checked only by their form, unless --registry is given.",
        ),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many rows a dry run shows as they would count: 10; none with --json.",
        ),
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            help="With --dry-run: a folder with *.units.csv and *.parents.csv to check units "
            "against; for units by name, by default the registry of Pravah.",
            exists=True,
        ),
    ] = None,
    aliases: Annotated[
        Path | None,
        typer.Option(
            help="A folder with *.aliases.csv; by default that of PRAVAH_GATEWAY_ALIASES.",
            exists=True,
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Write rejected rows here. As .xlsx: to correct, with the reason in the last "
            "column, and to import again by the same mapping. Otherwise as CSV: row number, "
            "reason, detail, then the row."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send the rows of a CSV or XLSX file as events.

    Prints how many rows were sent and rejected. Importing the same file again changes nothing. To
    correct rows, raise their version: by a version column in the mapping, or by --as-version 2 for
    the whole file. Persons are pseudonymised with the key in PRAVAH_PERSON_KEY; the gateway's file
    stores which hashes were issued. Exit 1 if a row was rejected or not delivered, or a suggested
    mapping is not complete.
    """
    from cli.import_run import ImportRun, print_import_next
    from cli.import_suggestion import print_suggestion
    from producers.tables import ImportMapping, MappingError, TableError
    from schemas.registry import RegistryError

    run = ImportRun(
        table,
        sheet=sheet,
        as_version=as_version,
        dry_run=dry_run or suggest,
        registry=registry,
        aliases=aliases,
        rejects=rejects,
        max_rows=(0 if as_json and not suggest else _MAX_PREVIEWED) if rows is None else rows,
    )
    try:
        if suggest:
            raise typer.Exit(print_suggestion(run, output, as_json=as_json))
        if mapping is None:
            msg = "is missing; `--suggest` writes a first one"
            raise typer.BadParameter(msg, param_hint="--mapping")
        if rejects is not None and rejects.resolve() == mapping.resolve():
            msg = f"{rejects} is the mapping itself; name another file for rejected rows"
            raise typer.BadParameter(msg, param_hint="--rejects")
        run.run(ImportMapping.from_toml(mapping.read_text(encoding="utf-8")))
    except (MappingError, TableError) as error:
        raise typer.BadParameter(
            str(error), param_hint="--mapping" if isinstance(error, MappingError) else "FILE"
        ) from None
    except RegistryError as error:
        raise typer.BadParameter(str(error), param_hint="--registry") from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    if run.skipped:
        typer.echo(f"skipped, as the mapping says: {run.skipped:,} rows", err=True)
    _print_result(run, as_json=as_json)
    if not as_json:
        print_import_next(run, mapping)
    raise typer.Exit(0 if not run.reasons else 1)


def _print_result(run: "ImportRun", *, as_json: bool) -> None:
    import orjson

    from cli.import_preview import print_preview

    rejected = run.reasons.total()
    if as_json:
        content = {
            "sent": 0 if run.dry_run else run.accepted,
            "good": run.accepted,
            "rejected": rejected,
            "reasons": dict(run.reasons),
            "dry_run": run.dry_run,
            **(run.preview.to_json() if run.dry_run and run.max_rows else {}),
        }
        typer.echo(orjson.dumps(content).decode())
        return
    if run.dry_run:
        print_preview(run.preview)
    verb = "would be sent" if run.dry_run else "sent"
    typer.echo(f"{verb}: {run.accepted:,}; rejected: {rejected:,}")
