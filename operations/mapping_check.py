"""Which events a sample body gives by a form's mapping, without any server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes

import reference
from operations.registry_files import read_registry_files
from pravah.events import EventError
from pravah.settings import Settings
from producers.gateway.registry import check_changed_at
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.gazetteer import Gazetteer, read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent
from producers.mapping.tools import READERS, BodyError, Tool
from producers.mapping.tools.body import EncryptedError, parse_json_object
from reference.defaults import default_dictionary
from schemas.acceptance import AcceptanceRules

# The default of the worker's setting.
MAX_FUTURE = timedelta(hours=Settings.model_fields["max_future_hours"].default)


@dataclass
class MappingCheck:
    """The events of a sample, and what is wrong with the mapping or the sample."""

    events: list[MappedEvent] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def read_gazetteer(registry: Path | None, alias_folders: Sequence[Path]) -> Gazetteer:
    """Read a unit registry and alias files.

    Args:
        registry: a folder with *.units.csv and *.parents.csv; None: the registry of Pravah.
        alias_folders: folders with *.aliases.csv.

    Raises:
        OSError, UnicodeDecodeError: a file cannot be read.
        RegistryError: the files are invalid.
    """
    files = reference.registry_files() if registry is None else registry.glob("*.csv")
    aliases = {
        name: lines for folder in alias_folders for name, lines in read_aliases(folder).items()
    }
    return Gazetteer(read_registry_files(files), aliases)


def check_mapping(
    mapping: Path,
    sample: Path,
    *,
    tool: Tool | None,
    producer: str,
    gazetteer: Gazetteer,
    pseudonymiser: Pseudonymiser | None,
    max_future: timedelta = MAX_FUTURE,
) -> MappingCheck:
    """Map a sample.

    Args:
        mapping: the mapping file.
        sample: a body as the tool's hook sends it.
        tool: the sample's; None: the only tool that can have sent it.
        producer: the source's name, which events and entities contain.
        gazetteer: finds units.
        pseudonymiser: makes the hashes of persons; None: a key for this check only.
        max_future: how far in the future an event may have occurred, as the worker is set.

    Raises:
        OSError, UnicodeDecodeError: a file cannot be read.
    """
    result = MappingCheck()
    try:
        form_mapping = FormMapping.from_toml(mapping.read_text(encoding="utf-8-sig"))
        body = sample.read_bytes()
        tool = tool or detect_tool(body)
        for submission in READERS[tool](body, {}):
            if (refused := check_changed_at(submission.changed_at, max_future)) is not None:
                result.findings.append(f"{sample.name}: {refused.detail}")
            events = map_submission(
                form_mapping,
                submission,
                tool=tool,
                producer=producer,
                units=gazetteer,
                pseudonymiser=pseudonymiser or Pseudonymiser([token_bytes(16)]),
            )
            rules = AcceptanceRules(max_future, gazetteer.registry, default_dictionary())
            result.findings += [
                f"{sample.name}: {refusal}"
                for refusal in (_find_refusal(event, rules) for event in events)
                if refusal is not None
            ]
            result.events += events
    except MappingError as error:
        result.findings = [f"{mapping.name}: {finding}" for finding in error.findings]
    except UnmappableError as error:
        result.findings = [f"{sample.name}: {finding}" for finding in error.findings]
    except BodyError as error:
        result.findings = [f"{sample.name}: {error}"]
    return result if not result.findings else MappingCheck(findings=result.findings)


def _find_refusal(mapped: MappedEvent, rules: AcceptanceRules) -> str | None:
    """Why the worker will not count an event, or None."""
    try:
        rules.check(mapped.to_event(), datetime.now(UTC))
    except EventError as error:
        return f"{mapped.part}: {error.detail}" if mapped.part else error.detail
    return None


def detect_tool(body: bytes) -> Tool:
    """The only tool that can have sent a body.

    Raises:
        BodyError: it is no JSON object, it is encrypted, or none or several can.
    """
    parse_json_object(body)
    candidates = []
    for tool, read in READERS.items():
        try:
            read(body, {})
            candidates.append(tool)
        except EncryptedError:
            raise
        except BodyError:
            continue
    if len(candidates) != 1:
        msg = (
            f"this can be the body of {' or '.join(candidates) or 'none of the tools'}; "
            "say which with --tool"
        )
        raise BodyError(msg)
    return candidates[0]
