"""Glific: what the webhook node of a flow sends, by a template that its author wrote; `producers/examples/glific` has one.

Glific puts `organization_id` beside the template's own fields, and fills in `@contact`, `@results` and `@wa_group`. It names no run of the flow. So a body names itself: a
second attempt, which has equal bytes, is the same submission, anything else another one. The template may give a name, `submission_id`, and the time, `sent_at`.
Source: the glific repository, Glific.Flows.Webhook.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from producers.mapping.submissions import Submission
from producers.mapping.tools.body import BodyError, an_instant, filled, json_object


def read(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """What a webhook node sent: one submission. Its time is the template's `sent_at`, else that of the newest result.

    Raises:
        BodyError: it is no body of Glific's, or nothing says when it was sent.
    """
    content = json_object(body)
    fields = filled(content)
    if "organization_id" not in fields:
        msg = "organization_id: is missing; this is not the body of a Glific webhook"
        raise BodyError(msg)
    given = fields.pop("submission_id", None)
    its_bytes = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    name = (
        str(given).strip()
        if isinstance(given, str | int)
        else hashlib.blake2b(its_bytes, digest_size=16).hexdigest()
    )
    return [
        Submission(
            form=_flow(fields.get("flow")), name=name, changed_at=_sent_at(fields), fields=fields
        )
    ]


def _flow(flow: object) -> str:
    """The flow's name, if the template tells it as `{"name": …}` or as text."""
    name = flow.get("name") if isinstance(flow, dict) else flow
    return name.strip() if isinstance(name, str) else ""


def _sent_at(fields: dict[str, Any]) -> datetime:
    if "sent_at" in fields:
        return an_instant(fields, "sent_at")
    results = fields.get("results")
    times = list(_inserted(results)) if isinstance(results, dict) else []
    if not times:
        msg = 'sent_at: is missing, and no result has a time; put "@results" or "sent_at" into the webhook\'s body'
        raise BodyError(msg)
    return max(times)


def _inserted(results: dict[str, Any]) -> Iterator[datetime]:
    for key, result in results.items():
        if isinstance(result, dict) and "inserted_at" in result:
            yield an_instant(result, "inserted_at", where=f"results.{key[:100]}.")
