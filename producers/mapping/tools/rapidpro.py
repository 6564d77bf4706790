"""RapidPro and TextIt: bodies of a resthook, which a flow calls whenever it reaches it.

A run is the filled-in form, its results are the fields: `results/<key>/value`,
`results/<key>/category`. A later call of the same run has more or newer results.
Source: the goflow repository, the payload of resthooks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    drop_empty,
    get_instant,
    get_object,
    get_text,
    parse_json_object,
)

_FIELDS = ("contact", "flow", "run", "results", "input", "channel")


def read_hook(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """Return the state of the run in a resthook's body.

    Raises:
        BodyError: the body has no flow, run or results.
    """
    content = parse_json_object(body)
    run = get_object(content, "run")
    flow = get_object(content, "flow")
    results = get_object(content, "results")
    if not all(isinstance(result, dict) for result in results.values()):
        msg = (
            "results: holds something else than objects with value and category; "
            "send the resthook's own body"
        )
        raise BodyError(msg)
    return [
        Submission(
            form=get_text(flow, "uuid", where="flow."),
            name=get_text(run, "uuid", where="run."),
            changed_at=max(_iter_times(content, run, results)),
            fields=drop_empty({name: content.get(name) for name in _FIELDS}),
        )
    ]


def _iter_times(
    content: dict[str, Any], run: dict[str, Any], results: dict[str, Any]
) -> Iterator[Any]:
    """Yield the times of the run's start, its last answer, and each of its results."""
    yield get_instant(run, "created_on", where="run.")
    answer = content.get("input")
    if isinstance(answer, dict) and answer.get("created_on") is not None:
        yield get_instant(answer, "created_on", where="input.")
    for key, result in results.items():
        if result.get("created_on") is not None:
            yield get_instant(result, "created_on", where=f"results.{key[:100]}.")
