"""RapidPro and TextIt: what a resthook sends, once each time a flow comes to it.

A run is the filled-in form, its results are the fields: `results/<key>/value`, `results/<key>/category`. A later call of the same run has more or newer results.
Source: the goflow repository, the payload of resthooks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    a_text,
    an_instant,
    an_object,
    filled,
    json_object,
)

_KEPT = ("contact", "flow", "run", "results", "input", "channel")


def read(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """What a resthook sent: one run as it stands.

    Raises:
        BodyError: it has no flow, run or results.
    """
    content = json_object(body)
    run, flow, results = (
        an_object(content, "run"),
        an_object(content, "flow"),
        an_object(content, "results"),
    )
    if not all(isinstance(result, dict) for result in results.values()):
        msg = "results: holds something else than objects with value and category; send the resthook's own body"
        raise BodyError(msg)
    return [
        Submission(
            form=a_text(flow, "uuid", where="flow."),
            name=a_text(run, "uuid", where="run."),
            changed_at=max(_instants(content, run, results)),
            fields=filled({name: content.get(name) for name in _KEPT}),
        )
    ]


def _instants(
    content: dict[str, Any], run: dict[str, Any], results: dict[str, Any]
) -> Iterator[Any]:
    """When the run began, was answered last, and had each of its results."""
    yield an_instant(run, "created_on", where="run.")
    answer = content.get("input")
    if isinstance(answer, dict) and answer.get("created_on") is not None:
        yield an_instant(answer, "created_on", where="input.")
    for key, result in results.items():
        if result.get("created_on") is not None:
            yield an_instant(result, "created_on", where=f"results.{key[:100]}.")
