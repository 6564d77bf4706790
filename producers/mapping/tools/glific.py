"""Glific: bodies of a flow's webhook node, by a template that the flow's author wrote.

`producers/examples/glific` has a template. Glific adds `organization_id` to the template's own
fields, and fills in `@contact`, `@results` and `@wa_group`. It gives the flow's run no name, so a
hash of the body is the submission's name: a second attempt, which has equal bytes, is the same
submission, any other body another one. The template may set a name, `submission_id`, and the time,
`sent_at`.
Source: the glific repository, Glific.Flows.Webhook.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from producers.mapping.placeholders import explain_template
from producers.mapping.submissions import Submission
from producers.mapping.tools.body import BodyError, drop_empty, get_instant, parse_json_object


def read_hook(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """Return the submission of a webhook node's body.

    Its time is the template's `sent_at`, else that of the newest result.

    Raises:
        BodyError: the body is not Glific's, or has no time.
    """
    content = parse_json_object(body)
    fields = drop_empty(content)
    if "organization_id" not in fields:
        msg = "organization_id: is missing; this is not the body of a Glific webhook"
        raise BodyError(msg)
    submission_id = fields.pop("submission_id", None)
    canonical = orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)
    if isinstance(submission_id, bool | dict | list):
        msg = "submission_id: is no text or number; name a result or the time in the template"
        raise BodyError(msg)
    name = (
        hashlib.blake2b(canonical, digest_size=16).hexdigest()
        if submission_id is None
        else str(submission_id).strip()
    )
    return [
        Submission(
            form=_get_flow(fields.get("flow")),
            name=name,
            changed_at=_get_time(fields),
            fields=fields,
        )
    ]


def _get_flow(flow: object) -> str:
    """Return the flow's name, which the template has as `{"name": …}` or as text; else empty."""
    name = flow.get("name") if isinstance(flow, dict) else flow
    return name.strip() if isinstance(name, str) else ""


def _get_time(fields: dict[str, Any]) -> datetime:
    if "sent_at" in fields:
        return get_instant(fields, "sent_at")
    results = fields.get("results")
    times = list(_iter_result_times(results)) if isinstance(results, dict) else []
    if not times and isinstance(results, str) and (problem := explain_template(results)):
        msg = f"results: {problem}"
        raise BodyError(msg)
    if not times:
        msg = (
            'sent_at: is missing, and no result has a time; put "@results" or "sent_at" '
            "into the webhook's body"
        )
        raise BodyError(msg)
    return max(times)


def _iter_result_times(results: dict[str, Any]) -> Iterator[datetime]:
    for key, result in results.items():
        if isinstance(result, dict) and "inserted_at" in result:
            yield get_instant(result, "inserted_at", where=f"results.{key[:100]}.")
