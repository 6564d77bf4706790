"""The OpenAPI description, made fit for readers, and the parameters of a path in it."""

from functools import lru_cache
from typing import Any

from fastapi import FastAPI


@lru_cache(maxsize=1_000)
def describe_parameters(app: FastAPI, path: str) -> dict[str, dict[str, Any]]:
    """Query parameters of a path: name → its description."""
    described = app.openapi()["paths"].get(path, {}).get("get", {}).get("parameters", [])
    return {one["name"]: one for one in described if one["in"] == "query"}


def is_repeatable(parameter: dict[str, Any]) -> bool:
    """Whether a parameter may be given more than once."""
    return bool(parameter["schema"].get("type") == "array")


def first_example(parameter: dict[str, Any]) -> str:
    """A value that the parameter takes, as it is written in a URL; empty if there is none."""
    for example in parameter["schema"].get("examples", []):
        value = example[0] if isinstance(example, list) else example
        return str(value).lower() if isinstance(value, bool) else str(value)
    return ""


def improve(description: dict[str, Any]) -> dict[str, Any]:
    """Improve the description that FastAPI makes: summaries, errors and parameters.

    Swagger UI shows no examples of schemas, and would send every `example` of a parameter when a
    path is tried out: so those of parameters that are not required are in their descriptions.
    """
    for operations in description["paths"].values():
        for operation in operations.values():
            first = operation["description"].partition("\n\n")[0]
            operation["summary"] = first.rstrip(".").replace("`", "")
            operation["responses"].pop("422", None)  # our answer for parameters is 400
            for parameter in operation.get("parameters", []):
                _improve_parameter(parameter)
    return description


def _improve_parameter(parameter: dict[str, Any]) -> None:
    schema = parameter["schema"]
    types = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(types) == 1:  # a parameter in an address is never null, but left out
        del schema["anyOf"]
        schema |= types[0]
    schema.pop("title", None)
    example = first_example(parameter)
    if parameter["required"]:
        parameter["example"] = example
    elif example:
        parameter["description"] += f" Example: `{example}`."
