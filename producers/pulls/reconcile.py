"""Compares the submissions at a tool with those in the gateway, by day and by name.

Recent changes at the tool are read by the next pull, for the first time or again; they are pending,
not differences. Other differences have causes that pulls cannot see, such as an erased form;
`repair` applies them.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

import orjson

from pravah.days import KOLKATA
from producers.gateway.archive import archived_bodies
from producers.gateway.ingest import IngestService
from producers.gateway.schema import KnownSubmission
from producers.gateway.sources import FieldSource
from producers.gateway.submission_diff import SubmissionId
from producers.gateway.submissions import submission_from_json
from producers.mapping.submissions import Submission
from producers.mapping.tools import BodyError
from producers.mapping.tools.commcare import RECEIVED_ON
from producers.pulls.options import open_paginator
from producers.pulls.pagination import OVERLAP, Page, is_completed

# How a submission differs between the tool and the gateway:
# - missing: only the tool has it.
# - older: both have it, and the tool's state is newer.
# - extra: only the gateway has it.
# - refused: the gateway refused the tool's state; an earlier accepted state still counts.
# - unreadable: the tool's row is not a submission.
# - pending: any of these, and the next pull resolves it.
State = Literal["missing", "extra", "older", "refused", "unreadable", "pending"]

_REPAIR_BATCH = 500


class Difference(NamedTuple):
    """A submission that is not the same on both sides."""

    state: State
    form: str
    name: str
    day: date | None
    """Of its submission, in Asia/Kolkata; None if it is unknown, because the tool has no row."""
    detail: str = ""


@dataclass
class DayCounts:
    """The submissions of a day."""

    at_tool: int = 0
    here: int = 0
    """Those at the tool that the gateway has; a submission only here has no day."""


@dataclass
class ReconcileResult:
    """The comparison of both sides."""

    source: str
    at_tool: int = 0
    """Submissions at the tool."""
    here: int = 0
    """Submissions in the gateway."""
    days: dict[date, DayCounts] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    repaired: int = 0
    repairs: list[Submission] = field(default_factory=list, repr=False)
    """The states that `repair` ingests."""

    @property
    def is_equal(self) -> bool:
        """Whether there are no differences except pending ones."""
        return all(one.state == "pending" for one in self.differences)

    @property
    def is_repaired(self) -> bool:
        """Whether `repair` resolved every difference except pending ones."""
        differences = sum(one.state != "pending" for one in self.differences)
        return bool(self.repaired) and self.repaired == differences


class _ToolState(NamedTuple):
    """The newest state of a submission at its tool."""

    changed_at: datetime
    deleted: bool
    day: date | None
    submission: Submission | None
    """None if a repair cannot need it."""


def reconcile(
    ingest: IngestService,
    source: FieldSource,
    *,
    on_progress: Callable[[int], object] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> ReconcileResult:
    """Compare the tool's submissions with the gateway's; changes nothing.

    Args:
        ingest: the gateway's service.
        source: with a `[pull]`.
        on_progress: called after each page with its number of submissions.
        sleep: waits the given seconds before a request is tried again.

    Raises:
        PullError: the tool does not answer, or refuses.
    """
    result = ReconcileResult(source.name)
    before = _known(ingest, source)
    there: dict[SubmissionId, _ToolState] = {}
    began = datetime.max.replace(tzinfo=KOLKATA)
    with open_paginator(source, sleep=sleep) as paginator:
        for page in paginator.pages(None):
            for submission in _place(ingest, source, page.submissions, before):
                submission_id = SubmissionId(source.name, submission.form, submission.name)
                _add_state(there, submission_id, submission, before)
            result.differences += [
                Difference("unreadable", "", one.row, None, one.detail) for one in page.unreadable
            ]
            began = _started_at(page) or began
            on_progress(len(page.submissions))
    after = _known(ingest, source)
    cursor = orjson.loads(ingest.store.get_cursor(source.name) or b"{}")
    since = datetime.fromisoformat(cursor["since"]) if "since" in cursor else None
    refused = _refused(ingest, source)
    for submission_id in there.keys() | before.keys():
        tool = there.get(submission_id)
        difference, fix = _compare(
            submission_id, tool, after.get(submission_id), refused.get(submission_id), began
        )
        if difference is None:
            continue
        is_recent = since is not None and tool is not None and tool.changed_at >= since
        if is_recent and difference.state != "refused":
            difference = difference._replace(
                state="pending", detail=f"{difference.state}: {difference.detail}"
            )
        elif fix is not None:
            result.repairs.append(fix)
        result.differences.append(difference)
    _count(result, there, after)
    result.differences.sort(key=lambda one: (one.state, one.day or date.max, one.name))
    return result


def repair(ingest: IngestService, result: ReconcileResult) -> None:
    """Ingest what no pull can see.

    Missing and older submissions get the tool's state, extra ones are deleted.
    """
    for first in range(0, len(result.repairs), _REPAIR_BATCH):
        batch = result.repairs[first : first + _REPAIR_BATCH]
        result.repaired += ingest.ingest_submissions(result.source, batch).accepted


def _place(
    ingest: IngestService,
    source: FieldSource,
    submissions: Sequence[Submission],
    before: dict[SubmissionId, KnownSubmission],
) -> Iterator[Submission]:
    """Yield the tool's submissions under their names in the gateway.

    An edit without a time of its own gets one after that of the stored state.
    """
    places = ingest.store.places(source.name, submissions)
    for submission, place in zip(submissions, places, strict=True):
        known = before.get(SubmissionId(source.name, submission.form, place.name))
        changed_at = submission.changed_at
        if place.is_newer and known is not None:
            changed_at = max(changed_at, known.changed_at + timedelta.resolution)
        yield replace(submission, name=place.name, changed_at=changed_at)


def _add_state(
    there: dict[SubmissionId, _ToolState],
    submission_id: SubmissionId,
    submission: Submission,
    before: dict[SubmissionId, KnownSubmission],
) -> None:
    seen, known = there.get(submission_id), before.get(submission_id)
    if seen is not None and submission.changed_at <= seen.changed_at:
        return
    is_same = (
        known is not None
        and known.changed_at >= submission.changed_at
        and known.deleted == submission.deleted
    )
    day = _day(submission) or (seen.day if seen is not None else None)
    there[submission_id] = _ToolState(
        submission.changed_at,
        submission.deleted,
        day,
        None if is_same or submission.deleted else submission,
    )


def _compare(
    submission_id: SubmissionId,
    tool: _ToolState | None,
    here: KnownSubmission | None,
    refused: tuple[datetime, str] | None,
    began: datetime,
) -> tuple[Difference | None, Submission | None]:
    """The difference, and the state that repairs it."""

    def differs(state: State, detail: str = "") -> Difference:
        day = tool.day if tool is not None else None
        return Difference(state, submission_id.form, submission_id.name, day, detail)

    if tool is None or tool.deleted:
        if here is None or here.deleted:
            return None, None
        deleted_at = tool.changed_at if tool is not None else began
        deletion = Submission(submission_id.form, submission_id.name, deleted_at, deleted=True)
        detail = "deleted at the tool" if tool is not None else "the tool does not have it"
        return differs("extra", detail), deletion
    if refused is not None and refused[0] >= tool.changed_at:
        return differs("refused", refused[1]), None
    if here is None or here.deleted:
        submission = tool.submission
        if submission is not None and here is not None and submission.changed_at <= here.changed_at:
            # it was restored, and the tool has no date for that
            submission = replace(submission, changed_at=began)
        detail = "" if here is None else "it was deleted, and stands again"
        return differs("missing", detail), submission
    if tool.changed_at > here.changed_at:
        detail = (
            f"changed {tool.changed_at.isoformat(timespec='seconds')}, "
            f"known as of {here.changed_at.isoformat(timespec='seconds')}"
        )
        return differs("older", detail), tool.submission
    return None, None


def _count(
    result: ReconcileResult,
    there: dict[SubmissionId, _ToolState],
    after: dict[SubmissionId, KnownSubmission],
) -> None:
    days: dict[date, DayCounts] = defaultdict(DayCounts)
    for submission_id, tool in there.items():
        here = after.get(submission_id)
        if not tool.deleted and tool.day is not None:
            days[tool.day].at_tool += 1
            days[tool.day].here += here is not None and not here.deleted
    result.days = dict(sorted(days.items()))
    result.at_tool = sum(not tool.deleted for tool in there.values())
    result.here = sum(not here.deleted for here in after.values())


def _known(ingest: IngestService, source: FieldSource) -> dict[SubmissionId, KnownSubmission]:
    return {
        SubmissionId(source.name, one.form, one.name): one
        for one in ingest.store.known_submissions(source.name)
    }


def _refused(
    ingest: IngestService, source: FieldSource
) -> dict[SubmissionId, tuple[datetime, str]]:
    """Refused submissions of earlier pulls: the newest state's instant, and why."""
    found: dict[SubmissionId, tuple[datetime, str]] = {}
    where = "source = ? AND kind = 'submission' AND outcome = 'refused'"
    with ingest.store.open_read_only() as connection:
        for one in archived_bodies(connection, where, (source.name,)):
            try:
                submission = submission_from_json(one.body)
            except BodyError:
                continue
            (place,) = ingest.store.places(source.name, [submission])
            submission_id = SubmissionId(source.name, submission.form, place.name)
            if submission_id not in found or submission.changed_at > found[submission_id][0]:
                found[submission_id] = (submission.changed_at, f"{one.reason}: {one.detail}")
    return found


def _started_at(page: Page) -> datetime | None:
    """When the requests began, by the tool's clock; only the last page's cursor has it."""
    if not page.cursor or not is_completed(page.cursor):
        return None
    return datetime.fromisoformat(page.cursor["since"]) + OVERLAP


def _day(submission: Submission) -> date | None:
    """The day of the first submission, by the tool."""
    system = submission.fields.get("__system")
    submitted_at = (
        submission.fields.get("_submission_time")
        or submission.fields.get(RECEIVED_ON)
        or (system.get("submissionDate") if isinstance(system, dict) else None)
    )
    try:
        return datetime.fromisoformat(str(submitted_at)).astimezone(KOLKATA).date()
    except ValueError:
        return None


def group_by_state(
    differences: Iterable[Difference],
) -> Iterator[tuple[State, list[Difference]]]:
    """The differences of each state, the states that need action first."""
    listed = list(differences)
    order: tuple[State, ...] = ("missing", "older", "extra", "refused", "unreadable", "pending")
    for state in order:
        if found := [one for one in listed if one.state == state]:
            yield state, found
