"""`pravah gateway check`: which events a sample gives by a mapping, before anything is sent."""

from datetime import datetime
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

import reference
from operations.registry import read_registry_files
from pravah.days import KOLKATA
from pravah.settings import Settings
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.gazetteer import Gazetteer, read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent
from producers.mapping.tools import READERS, BodyError, Tool
from schemas.registry import Registry


def check(
    mapping: Annotated[
        Path,
        typer.Argument(
            metavar="MAPPING",
            help="The form's mapping, a TOML file: see docs/mappings.md.",
            exists=True,
            dir_okay=False,
        ),
    ],
    sample: Annotated[
        Path,
        typer.Argument(
            metavar="SAMPLE.json",
            help="A body as the tool's hook sends it.",
            exists=True,
            dir_okay=False,
        ),
    ],
    *,
    tool: Annotated[
        Tool | None, typer.Option(help="Which tool's; by default the one whose body it is.")
    ] = None,
    source: Annotated[
        str,
        typer.Option(help="The source's name, as in its file: it stands in events and entities."),
    ] = "check",
    registry: Annotated[
        Path | None,
        typer.Option(
            help="With *.units.csv and *.parents.csv; by default the registry that comes with Pravah.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    aliases: Annotated[
        Path | None,
        typer.Option(
            help="A folder with *.aliases.csv; by default the mapping's and the one above it.",
            exists=True,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Show the events that a sample gives, or everything that is wrong with mapping and sample. Sends nothing, needs no server.

    Exit 1 if there are findings.
    """
    persons = Pseudonymiser.from_settings(Settings())
    found: list[MappedEvent] = []
    findings: list[str] = []
    try:
        how = FormMapping.from_toml(mapping.read_text(encoding="utf-8"))
        body = sample.read_bytes()
        chosen = tool or _tool_of(body)
        submissions = READERS[chosen](body, {})
        units = _gazetteer(
            registry,
            [mapping.parent, mapping.absolute().parent.parent] if aliases is None else [aliases],
        )
        for submission in submissions:
            found += map_submission(
                how,
                submission,
                tool=chosen,
                producer=source,
                units=units,
                pseudonymiser=persons or Pseudonymiser([token_bytes(16)]),
            )
    except MappingError as error:
        findings = [f"{mapping.name}: {finding}" for finding in error.findings]
    except UnmappableError as error:
        findings = [f"{sample.name}: {finding}" for finding in error.findings]
    except BodyError as error:
        findings = [f"{sample.name}: {error}"]
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="MAPPING") from None
    if as_json:
        events = [
            {"part": one.part, "entity": one.entity, "unit": one.unit, **one.content}
            for one in found
        ]
        typer.echo(orjson.dumps({"events": events, "findings": findings}).decode())
    else:
        _tell(findings) if findings else _show(found, units.registry, own_key=persons is not None)
    raise typer.Exit(1 if findings else 0)


def _gazetteer(registry: Path | None, folders: list[Path]) -> Gazetteer:
    units = read_registry_files(
        reference.registry_files() if registry is None else registry.glob("*.csv")
    )
    return Gazetteer(
        units, {name: lines for folder in folders for name, lines in read_aliases(folder).items()}
    )


def _tool_of(body: bytes) -> Tool:
    """The one tool that can have sent a body."""
    able = []
    for tool, read in READERS.items():
        try:
            read(body, {})
            able.append(tool)
        except BodyError:
            continue
    if len(able) != 1:
        msg = f"this can be the body of {' or '.join(able) or 'none of the tools'}; say which with --tool"
        raise BodyError(msg)
    return able[0]


def _tell(findings: list[str]) -> None:
    for finding in findings:
        typer.echo(finding, err=True)
    typer.echo(
        f"{len(findings)} findings, no event / {len(findings)} कमियाँ, कोई घटना नहीं", err=True
    )


def _show(found: list[MappedEvent], units: Registry, *, own_key: bool) -> None:
    table = Table()
    for heading in ("event / घटना", "unit / इकाई", "when / कब", "data / विवरण"):
        table.add_column(heading, overflow="fold")
    for one in found:
        unit = units.units[one.unit]
        moment = datetime.fromisoformat(one.content["occurred_at"]).astimezone(KOLKATA)
        event = "\n".join(
            filter(None, (one.part, one.content["kind"], one.content["verification"]))
        )
        data = "\n".join([*_details(one.content), one.entity])
        table.add_row(
            event,
            f"{unit.name_en}\n{unit.name_hi}\n{one.unit}",
            f"{moment:%Y-%m-%d\n%H:%M}",
            data,
            end_section=True,
        )
    Console().print(table if found else "this sample gives no event / इस नमूने से कोई घटना नहीं बनती")
    if not own_key and any("…" in cell for one in found for cell in _details(one.content)):
        typer.echo(
            "PRAVAH_PERSON_KEY is not set: hashes of persons were made with a key for this check only",
            err=True,
        )


def _details(content: dict[str, Any] | Any) -> list[str]:
    """The event's own fields, hashes cut short."""
    rest = {
        name: value
        for name, value in content.items()
        if name not in {"kind", "occurred_at", "source", "verification", "data"}
    }
    return [f"{name}: {_short(value)}" for name, value in {**content["data"], **rest}.items()]


def _short(value: object) -> str:
    if isinstance(value, list):
        shown = 3
        return ", ".join(map(_short, value[:shown])) + (
            f", … ({len(value)})" if len(value) > shown else ""
        )
    text = str(value)
    return f"{text[:8]}…" if len(text) == len("0" * 64) and text.isalnum() else text
