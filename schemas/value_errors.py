"""Errors of parameters and options in words: what is wrong with a value, and an example."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_MAX_QUOTED = 60
# An error that says itself how a value is written.
_HAS_EXAMPLE = re.compile(r"such as|is written")


def _list_choices(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "").replace(" or ", ", ")


# Type of pydantic's error → the sentence, of the quoted value and the error's context.
_SENTENCES: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "missing": lambda _, __: "is required",
    "literal_error": lambda value, context: f"{value} is none of {_list_choices(context)}",
    "int_parsing": lambda value, _: f"{value} is no whole number",
    "int_from_float": lambda value, _: f"{value} is no whole number",
    "int_parsing_size": lambda _, __: "is too large a number",
    "float_parsing": lambda value, _: f"{value} is no number",
    "finite_number": lambda value, _: f"{value} is no number",
    "bool_parsing": lambda value, _: f"{value} is neither true nor false",
    "greater_than_equal": lambda value, context: f"{value} is less than {_bound(context['ge'])}",
    "less_than_equal": lambda value, context: f"{value} is more than {_bound(context['le'])}",
    "string_too_short": lambda _, __: "is empty; leave the parameter out",
    "string_too_long": lambda _, context: f"is longer than {context['max_length']:,} characters",
    "too_long": lambda _, context: (
        f"is given {context['actual_length']:,} times; {context['max_length']:,} are possible"
    ),
}


def describe_error(error: Mapping[str, Any], example: str = "") -> str:
    """Say in words what is wrong with a parameter's value.

    Args:
        error: of pydantic.
        example: a value that the parameter takes; empty if it has none.
    """
    sentence = _SENTENCES.get(error["type"])
    if sentence is not None:
        text = sentence(_quote(error.get("input")), error.get("ctx", {}))
    else:
        text = str(error["msg"]).removeprefix("Value error, ")
    if not example or _HAS_EXAMPLE.search(text):
        return text
    return f"{text}; for example {example}"


def _quote(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")


def _bound(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
