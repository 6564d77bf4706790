"""Every parameter of the HTTP services is described with an example; errors are sentences."""

import re
from typing import Annotated, Any, Literal

import orjson
import pytest
from pydantic import Field, TypeAdapter, ValidationError

import api.app
import producers.gateway.app
from api.descriptions import first_example, is_repeatable
from pravah.events import MODELS, EventError, parse_event
from pravah.settings import Settings
from schemas.value_errors import describe_error

DESCRIPTIONS = {
    "api": api.app.build(Settings(_env_file=None)).openapi(),
    "gateway": producers.gateway.app.build(None).openapi(),  # type: ignore[arg-type]
}
OPERATIONS = [
    pytest.param(operation, id=f"{service} {method} {path}")
    for service, description in DESCRIPTIONS.items()
    for path, operations in description["paths"].items()
    for method, operation in operations.items()
]
# Signs of a regular expression, and the words of a validation library.
NOT_FOR_READERS = re.compile(
    r"[\^\\]|\[[A-Za-z0-9]-|\{\d|Input should|should (have|match|be)|pattern"
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_path_and_parameter_is_described_with_an_example(operation: dict[str, Any]) -> None:
    assert operation.get("description"), "the path itself"
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        assert parameter.get("description", "").endswith("."), name
        assert first_example(parameter), name
        schema = parameter["schema"]
        one = schema["items"] if is_repeatable(parameter) else schema
        choices = [part["enum"] for part in [one, *one.get("anyOf", [])] if "enum" in part]
        for choice in choices:
            assert first_example(parameter) in choice, name


def test_the_page_of_the_api_shows_the_examples_and_groups() -> None:
    """Swagger UI shows a parameter's description and `example`, and no examples of its schema."""
    description = DESCRIPTIONS["api"]
    groups = {one["name"] for one in description["tags"]}
    for path, operations in description["paths"].items():
        operation = operations["get"]
        assert set(operation["tags"]) < groups
        assert operation["description"].replace("`", "").startswith(operation["summary"]), path
        assert "422" not in operation["responses"]
        for one in operation.get("parameters", []):
            shown = str(one.get("example", one["description"]))
            assert first_example(one) in shown, (path, one["name"])
            assert ("example" in one) == one["required"], "else it would be sent when tried out"
            assert "anyOf" not in one["schema"], "nothing is null in an address"


@pytest.mark.parametrize(
    ("expected", "value", "sentence"),
    [
        (Literal["day", "week"], "year", "'year' is none of day, week; for example week"),
        (Annotated[int, Field(ge=1)], "0", "'0' is less than 1; for example week"),
        (Annotated[int, Field(le=100_000)], "100001", "'100001' is more than 100,000; for"),
        (int, "many", "'many' is no whole number; for example week"),
        (int, "1.5", "'1.5' is no whole number; for example week"),
        (float, "all", "'all' is no number; for example week"),
        (bool, "perhaps", "'perhaps' is neither true nor false; for example week"),
        (Annotated[str, Field(min_length=1)], "", "is empty; leave the parameter out; for example"),
        (Annotated[str, Field(max_length=3)], "long", "is longer than 3 characters; for example"),
        (Annotated[list[str], Field(max_length=1)], ["a", "b"], "is given 2 times; 1 are possible"),
        (int, "x" * 500, f"'{'x' * 60}…' is no whole number"),
    ],
)
def test_an_error_says_what_is_expected_and_gives_an_example(
    expected: Any, value: object, sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(expected).validate_python(value)
    text = describe_error(caught.value.errors()[0], "week")  # type: ignore[arg-type]
    assert text.startswith(sentence)
    assert not NOT_FOR_READERS.search(text)


def patterns(schema: object) -> set[str]:
    """All regular expressions of a JSON schema that a value must match."""
    if isinstance(schema, list):
        return set().union(*map(patterns, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    return own.union(*(patterns(part) for name, part in schema.items() if name != "not"))


def test_no_error_of_an_event_has_a_regular_expression() -> None:
    """Each field that has a pattern gets a value that breaks it."""
    event = {
        "event_id": "7f0c6a52-6f0e-4a34-9d52-1c1f4b7d0a01",
        "unit": "CG",
        "kind": "tally",
        "occurred_at": "2022-05-03T18:05:00+05:30",
        "source": {"tool": "script", "producer": "test"},
        "data": {"metric": "doors_visited", "value": 3},
    }
    wrong = {
        "unit": {"unit": "CG-AC84"},
        "occurred_at": {"occurred_at": "2022-05-03"},
        "reporter": {"reporter": "Ram"},
        "evidence": {"evidence": "photo.jpg"},
        "source.tool": {"source": {"tool": " kobo", "producer": "test"}},
        "data.metric": {"data": {"metric": "Doors Visited", "value": 3}},
    }
    found = set().union(*(patterns(model.model_json_schema()) for model in MODELS.values()))
    refused = set()
    for field, change in wrong.items():
        with pytest.raises(EventError, match=f"{field}: ") as caught:
            parse_event(orjson.dumps({**event, **change}))
        assert not NOT_FOR_READERS.search(str(caught.value)), str(caught.value)
        assert re.search(r"such as|must be", str(caught.value))
        refused |= {str(caught.value).partition(": ")[2]}
    assert len(found) == len(refused) == len(wrong), "each pattern of the format is tried"
