"""Descriptions of a path's parameters, from the OpenAPI description."""

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
