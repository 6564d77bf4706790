"""Results of ingestion as HTTP responses."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from producers.gateway.problems import problem_response
from producers.gateway.results import BodyResult, EventsResult, ItemResult, Refusal

# How many refusals the `detail` of a problem repeats; `errors` has all.
_MAX_SHOWN_REFUSALS = 5


def events_response(result: EventsResult, *, is_single: bool) -> Response:
    """The response of `/v1/events`.

    Args:
        result: what became of the events.
        is_single: the body was one event, not an array.
    """
    items = [_item(index, item) for index, item in enumerate(result.items)]
    outcomes = [item.outcome for item in result.items]
    refusals = [item.refusal for item in result.items if item.refusal is not None]
    counts = {
        name: outcomes.count(name) for name in ("accepted", "repeated", "superseded", "refused")
    }
    if refusals and len(refusals) == len(items):
        return _refused(refusals, **({} if is_single else {**counts, "items": items}))
    status = (
        HTTPStatus.MULTI_STATUS
        if refusals
        else HTTPStatus.ACCEPTED
        if counts["accepted"]
        else HTTPStatus.OK
    )
    if is_single:
        del items[0]["index"]
        return JSONResponse(items[0], status)
    return JSONResponse({**counts, "items": items}, status)


def body_response(result: BodyResult) -> Response:
    """The response of a hook."""
    if result.refusals:
        return _refused(result.refusals)
    outcomes = [item.outcome for item in result.items]
    return JSONResponse(
        {
            "accepted": outcomes.count("accepted"),
            "repeated": outcomes.count("repeated"),
            "events": result.events,
        },
        HTTPStatus.OK,
    )


def _item(index: int, item: ItemResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": index, "outcome": item.outcome}
    if item.name:
        shown["event_id"] = item.name
    if item.outcome == "superseded":
        shown["detail"] = (
            "this version or a higher one of its entity was reported for a unit with another "
            "routing key; send a higher version"
        )
    if item.refusal is not None:
        shown |= {
            "status": _status([item.refusal]),
            "reason": item.refusal.reason,
            "detail": item.refusal.detail,
        }
    return shown


def _status(refusals: list[Refusal]) -> HTTPStatus:
    if all(refusal.is_forbidden for refusal in refusals):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.UNPROCESSABLE_ENTITY


def _refused(refusals: list[Refusal], **members: Any) -> Response:
    return problem_response(
        _status(refusals),
        "; ".join(refusal.detail for refusal in refusals[:_MAX_SHOWN_REFUSALS]),
        reason=refusals[0].reason,
        errors=[{"reason": refusal.reason, "detail": refusal.detail} for refusal in refusals],
        **members,
    )
