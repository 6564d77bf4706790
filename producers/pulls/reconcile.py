"""What stands at a tool against what the gateway knows: by day of submission, name by name.

What the tool changed lately is read by the next pull, again or for the first time, and is no difference yet: it is pending. What is different in spite of the pulls has a cause that they cannot
see, such as a form that was erased; `repair` tells it all the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal, NamedTuple

import orjson

from pravah.days import KOLKATA
from producers.gateway.ingest import IngestService, submission_from_json
from producers.gateway.sources import FieldSource
from producers.gateway.store import Known, kept
from producers.gateway.submission_diff import SubmissionId
from producers.mapping.submissions import Submission
from producers.mapping.tools import BodyError
from producers.mapping.tools.commcare import RECEIVED_ON
from producers.pulls.pagination import OVERLAP, Page
from producers.pulls.pull import walking

State = Literal["missing", "extra", "older", "refused", "unreadable", "pending"]
"""Of a submission that is not the same on both sides:

missing: it stands at the tool, and not here. extra: it stands here, and not at the tool. older: both have it, the tool's state is newer. refused: the gateway has it and cannot
take it; what may have stood before still does. unreadable: the tool's row is no submission. pending: any of these, and the next pull brings it.
"""


class Difference(NamedTuple):
    """A submission that is not the same on both sides."""

    state: State
    form: str
    name: str
    day: date | None
    """Of its submission, in Asia/Kolkata; None: only the tool knew, and no longer does."""
    detail: str = ""


@dataclass
class Day:
    """The submissions of a day."""

    at_tool: int = 0
    here: int = 0
    """Of those that stand at the tool; what stands only here has no day."""


@dataclass
class Reconciled:
    """What came of it."""

    source: str
    at_tool: int = 0
    """Submissions that stand there."""
    here: int = 0
    """Submissions that stand here."""
    days: dict[date, Day] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    repaired: int = 0
    mends: list[Submission] = field(default_factory=list, repr=False)
    """What `repair` tells."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs but what the next pull brings."""
        return all(one.state == "pending" for one in self.differences)


class _AtTool(NamedTuple):
    """The newest state of a submission at its tool. The submission itself is kept only where it may be needed."""

    changed_at: datetime
    deleted: bool
    day: date | None
    submission: Submission | None


def reconcile(
    reception: IngestService,
    source: FieldSource,
    *,
    tell: Callable[[int], object] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Reconciled:
    """Compare; changes nothing.

    Args:
        reception: what the gateway knows.
        source: with a `[pull]`.
        tell: is called with how many more rows were read.
        sleep: waits so many seconds before a request is tried again.

    Raises:
        PullError: the tool does not answer, or refuses.
    """
    found = Reconciled(source.name)
    before = _known(reception, source)
    there: dict[SubmissionId, _AtTool] = {}
    began = datetime.max.replace(tzinfo=KOLKATA)
    with walking(source, sleep=sleep) as walk:
        for page in walk.pages(None):
            for submission in page.submissions:
                _see(
                    there,
                    SubmissionId(source.name, submission.form, submission.name),
                    submission,
                    before,
                )
            found.differences += [
                Difference("unreadable", "", one.row, None, one.detail) for one in page.unreadable
            ]
            began = _began(page) or began
            tell(len(page.submissions))
    after = _known(reception, source)
    cursor = orjson.loads(reception.store.get_cursor(source.name) or b"{}")
    since = datetime.fromisoformat(cursor["since"]) if "since" in cursor else None
    refused = _refused(reception, source)
    for me in there.keys() | before.keys():
        difference, mend = _compare(me, there.get(me), after.get(me), refused.get(me), began)
        if difference is not None:
            changed_at = there[me].changed_at if me in there else None
            if (
                since is not None
                and changed_at is not None
                and changed_at >= since
                and difference.state != "refused"
            ):
                difference = difference._replace(
                    state="pending", detail=f"{difference.state}: {difference.detail}"
                )
            elif mend is not None:
                found.mends.append(mend)
            found.differences.append(difference)
    _count(found, there, after)
    found.differences.sort(key=lambda one: (one.state, one.day or date.max, one.name))
    return found


def repair(reception: IngestService, found: Reconciled) -> None:
    """Tell what no pull can: what is missing or older as it stands at the tool, what is extra as deleted."""
    for first in range(0, len(found.mends), 500):
        found.repaired += reception.take_submissions(
            found.source, found.mends[first : first + 500]
        ).accepted


def _see(
    there: dict[SubmissionId, _AtTool],
    me: SubmissionId,
    submission: Submission,
    before: dict[SubmissionId, Known],
) -> None:
    seen, known = there.get(me), before.get(me)
    if seen is not None and submission.changed_at <= seen.changed_at:
        return
    same = (
        known is not None
        and known.changed_at >= submission.changed_at
        and known.deleted == submission.deleted
    )
    day = _day(submission) or (seen.day if seen is not None else None)
    there[me] = _AtTool(
        submission.changed_at,
        submission.deleted,
        day,
        None if same or submission.deleted else submission,
    )


def _compare(
    me: SubmissionId,
    tool: _AtTool | None,
    here: Known | None,
    refused: tuple[datetime, str] | None,
    began: datetime,
) -> tuple[Difference | None, Submission | None]:
    """What differs, and what would mend it."""

    def differs(state: State, detail: str = "") -> Difference:
        return Difference(state, me.form, me.name, tool.day if tool is not None else None, detail)

    stands_there, stands_here = (
        tool is not None and not tool.deleted,
        here is not None and not here.deleted,
    )
    if tool is None or tool.deleted:
        if not stands_here:
            return None, None
        gone = Submission(
            me.form, me.name, tool.changed_at if tool is not None else began, deleted=True
        )
        return differs(
            "extra", "deleted at the tool" if tool is not None else "the tool does not have it"
        ), gone
    if refused is not None and refused[0] >= tool.changed_at:
        return differs("refused", refused[1]), None
    if here is None or (here.deleted and stands_there):
        submission = tool.submission
        if submission is not None and here is not None and submission.changed_at <= here.changed_at:
            submission = replace(
                submission, changed_at=began
            )  # it was restored, which the tool does not date
        return differs(
            "missing", "" if here is None else "it was deleted, and stands again"
        ), submission
    if tool.changed_at > here.changed_at:
        return differs(
            "older",
            f"changed {tool.changed_at.isoformat(timespec='seconds')}, known as of {here.changed_at.isoformat(timespec='seconds')}",
        ), tool.submission
    return None, None


def _count(
    found: Reconciled, there: dict[SubmissionId, _AtTool], after: dict[SubmissionId, Known]
) -> None:
    days: dict[date, Day] = defaultdict(Day)
    for me, tool in there.items():
        here = after.get(me)
        if not tool.deleted and tool.day is not None:
            days[tool.day].at_tool += 1
            days[tool.day].here += here is not None and not here.deleted
    found.days = dict(sorted(days.items()))
    found.at_tool = sum(not tool.deleted for tool in there.values())
    found.here = sum(not here.deleted for here in after.values())


def _known(reception: IngestService, source: FieldSource) -> dict[SubmissionId, Known]:
    return {
        SubmissionId(source.name, one.form, one.name): one
        for one in reception.store.known_submissions(source.name)
    }


def _refused(
    reception: IngestService, source: FieldSource
) -> dict[SubmissionId, tuple[datetime, str]]:
    """Pulled submissions that wait to be mended: instant of the newest, and why."""
    found: dict[SubmissionId, tuple[datetime, str]] = {}
    with reception.store.reading() as connection:
        for one in kept(
            connection, "source = ? AND kind = 'submission' AND outcome = 'refused'", (source.name,)
        ):
            try:
                submission = submission_from_json(one.body)
            except BodyError:
                continue
            me = SubmissionId(source.name, submission.form, submission.name)
            if me not in found or submission.changed_at > found[me][0]:
                found[me] = (submission.changed_at, f"{one.reason}: {one.detail}")
    return found


def _began(page: Page) -> datetime | None:
    return (
        datetime.fromisoformat(page.cursor["since"]) + OVERLAP
        if set(page.cursor) == {"since"}
        else None
    )


def _day(submission: Submission) -> date | None:
    """The day on which it was submitted first, as its tool has it."""
    system = submission.fields.get("__system")
    told = (
        submission.fields.get("_submission_time")
        or submission.fields.get(RECEIVED_ON)
        or (system.get("submissionDate") if isinstance(system, dict) else None)
    )
    try:
        return datetime.fromisoformat(str(told)).astimezone(KOLKATA).date()
    except ValueError:
        return None


def by_state(differences: Iterable[Difference]) -> Iterator[tuple[State, list[Difference]]]:
    """The differences of each state, in the order of `State`."""
    listed = list(differences)
    order: tuple[State, ...] = ("missing", "older", "extra", "refused", "unreadable", "pending")
    for state in order:
        if those := [one for one in listed if one.state == state]:
            yield state, those
