"""`pravah gateway check`: the events that a sample gives by a mapping."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import say
from cli.tables import Column, print_table
from pravah.days import KOLKATA
from producers.mapping.tool_names import Tool

if TYPE_CHECKING:
    from producers.mapping.submissions import MappedEvent
    from schemas.registry import Registry

EVENT_COLUMNS = (
    Column("event"),
    Column("unit", "key"),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
    Column("when", "day"),
    Column("data"),
)
# Items of a list shown per field.
_SHOWN = 3


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
        Tool | None,
        typer.Option(help="The sample's tool; by default the only one that can have sent it."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(help="The source's name, as in its file; part of events and entities."),
    ] = "check",
    registry: Annotated[
        Path | None,
        typer.Option(
            help="A folder with *.units.csv and *.parents.csv; by default the registry of Pravah.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    aliases: Annotated[
        Path | None,
        typer.Option(
            help="A folder with *.aliases.csv; by default the mapping's and its parent.",
            exists=True,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the events that a sample gives, or every error in the mapping and the sample.

    Sends nothing and needs no server. Exit 1 if there are errors.
    """
    import orjson

    from operations.mapping_check import check_mapping, read_gazetteer
    from pravah.settings import Settings
    from producers.mapping.pseudonyms import Pseudonymiser

    settings = Settings()
    pseudonymiser = Pseudonymiser.from_settings(settings)
    folders = [mapping.parent, mapping.absolute().parent.parent] if aliases is None else [aliases]
    try:
        gazetteer = read_gazetteer(registry, folders)
        result = check_mapping(
            mapping,
            sample,
            tool=tool,
            producer=source,
            gazetteer=gazetteer,
            pseudonymiser=pseudonymiser,
            max_future=timedelta(hours=settings.max_future_hours),
        )
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="MAPPING") from None
    if as_json:
        content = [
            {"part": one.part, "entity": one.entity, "unit": one.unit, **one.content}
            for one in result.events
        ]
        typer.echo(orjson.dumps({"events": content, "findings": result.findings}).decode())
    elif result.findings:
        _print_findings(result.findings)
    else:
        _print_events(result.events, gazetteer.registry, has_own_key=pseudonymiser is not None)
    raise typer.Exit(1 if result.findings else 0)


def _print_findings(findings: list[str]) -> None:
    for finding in findings:
        typer.echo(finding, err=True)
    count = len(findings)
    say(f"{count} कमियाँ, कोई घटना नहीं", f"{count} findings, no event", err=True)


def _print_events(events: "list[MappedEvent]", units: "Registry", *, has_own_key: bool) -> None:
    if not events:
        say("इस नमूने से कोई घटना नहीं बनती", "this sample gives no event")
    else:
        print_table(EVENT_COLUMNS, [_event_row(one, units) for one in events])
    has_hashes = any("…" in line for one in events for line in _format_fields(one.content))
    if has_hashes and not has_own_key:
        typer.echo(
            "PRAVAH_PERSON_KEY is not set: hashes of persons were made with a key for this check "
            "only",
            err=True,
        )


def _event_row(one: "MappedEvent", units: "Registry") -> tuple[str, ...]:
    unit = units.units[one.unit]
    moment = datetime.fromisoformat(one.content["occurred_at"]).astimezone(KOLKATA)
    event = filter(None, (one.part, one.content["kind"], one.content["verification"]))
    return (
        "\n".join(event),
        one.unit,
        unit.name_hi,
        unit.name_en,
        f"{moment:%Y-%m-%d %H:%M}",
        "\n".join([*_format_fields(one.content), one.entity]),
    )


def _format_fields(content: Mapping[str, Any]) -> list[str]:
    """The event's own fields, with hashes cut short."""
    rest = {
        name: value
        for name, value in content.items()
        if name not in {"kind", "occurred_at", "source", "verification", "data"}
    }
    return [f"{name}: {_shorten(value)}" for name, value in {**content["data"], **rest}.items()]


def _shorten(value: object) -> str:
    if isinstance(value, list):
        more = f", … ({len(value)})" if len(value) > _SHOWN else ""
        return ", ".join(map(_shorten, value[:_SHOWN])) + more
    text = str(value)
    return f"{text[:8]}…" if len(text) == len("0" * 64) and text.isalnum() else text
