"""The bodies of every tool with their examples, and their way through reader and mapping."""

import json
from datetime import datetime
from functools import cache
from pathlib import Path

import producers
import reference
from producers.mapping import tools
from producers.mapping.form_mapper import map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.gazetteer import Gazetteer, read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import Submission
from producers.mapping.tools import READERS, Tool
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from tests.support.field_bodies import commcare, glific, kobo, odk, rapidpro
from tests.support.field_bodies.case import KEY, Case

EXAMPLES = Path(producers.__file__).parent / "examples"
MAPPINGS: dict[Tool, str] = {
    "kobo": "kobo/mappings/daily-report.toml",
    "odk": "odk/mappings/training.toml",
    "commcare": "commcare/mappings/membership.toml",
    "rapidpro": "rapidpro/mappings/evening.toml",
    "glific": "glific/mappings/groups.toml",
}
SOURCES: dict[Tool, str] = {
    "kobo": "kobo-narayanpur",
    "odk": "odk-bastar",
    "commcare": "commcare-bastar",
    "rapidpro": "textit-raipur",
    "glific": "glific-raipur",
}
CORPORA: dict[Tool, list[Case]] = {
    "kobo": kobo.CASES,
    "odk": odk.CASES,
    "commcare": commcare.CASES,
    "rapidpro": rapidpro.CASES,
    "glific": glific.CASES,
}


@cache
def registry() -> Registry:
    return registry_from_csv(
        {
            path.name: path.read_text(encoding="utf-8").splitlines()
            for path in reference.registry_files()
        }
    )


@cache
def gazetteer() -> Gazetteer:
    return Gazetteer(registry(), read_aliases(EXAMPLES / "rapidpro"))


def load_mapping(tool: Tool) -> FormMapping:
    return FormMapping.from_toml((EXAMPLES / MAPPINGS[tool]).read_text(encoding="utf-8"))


def read_submissions(tool: Tool, case: Case) -> list[Submission]:
    if not case.is_row:
        body = (
            case.body
            if isinstance(case.body, bytes)
            else case.body.encode()
            if isinstance(case.body, str)
            else json.dumps(case.body).encode()
        )
        return READERS[tool](body, case.headers)
    match tool:
        case "kobo":
            return [
                tools.kobo.read_row(
                    case.body, datetime.fromisoformat(case.edited_at) if case.edited_at else None
                )
            ]
        case "odk":
            return [tools.odk.read_row(case.body, "training")]
        case _:
            return [tools.commcare.read_row(case.body)]


def map_events(tool: Tool, submission: Submission) -> list[dict]:
    mapped_events = map_submission(
        load_mapping(tool),
        submission,
        tool=tool,
        producer=SOURCES[tool],
        units=gazetteer(),
        pseudonymiser=Pseudonymiser([KEY]),
    )
    return [
        {"part": one.part, "entity": one.entity, "unit": one.unit, **one.content}
        for one in mapped_events
    ]


def map_case(tool: Tool, case: Case) -> list[dict]:
    return [
        event
        for submission in read_submissions(tool, case)
        for event in map_events(tool, submission)
    ]
