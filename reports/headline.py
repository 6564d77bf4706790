"""The first sentences of a report: what the trouble is, what has changed, and where it is worst.

Pure. A sentence is the key of a phrase and its values, so that it is said in either language.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pravah.languages import Language
from reports.labels import format_percent, phrase
from reports.situation import Child, MilestoneLine, Situation

# Of the children, as many as one remembers.
MAX_NAMES = 3
# Of fewer milestones of units the count says more than the percentage.
MIN_FOR_PERCENT = 10


class Sentence(NamedTuple):
    """A phrase's key, and its values."""

    key: str
    values: dict[str, Any]


def trouble(situation: Situation) -> list[Sentence]:
    """What is overdue most, or else what is due next."""
    if not situation.milestones:
        return [Sentence("no_programme", {})]
    worst = max(situation.milestones, key=lambda one: (one.overdue, -one.days_left))
    if worst.overdue:
        named = {"milestone": (worst.name_hi, worst.name_en), "days": -worst.days_left}
        counted = {"overdue": worst.overdue, "expected": worst.expected}
        more = situation.overdue - worst.overdue
        return [
            Sentence("trouble_one", named)
            if worst.expected == 1
            else Sentence("trouble", named | counted),
            *([Sentence("trouble_more", {"count": more})] if more else []),
        ]
    waiting = [one for one in situation.milestones if one.due]
    if not waiting:
        return [Sentence("all_done", {})]
    return [Sentence("no_trouble", {}), _next_deadline(min(waiting, key=lambda m: m.deadline))]


def _next_deadline(line: MilestoneLine) -> Sentence:
    named = {"day": line.deadline, "milestone": (line.name_hi, line.name_en)}
    if line.expected == 1:
        return Sentence("next_deadline_one", named)
    return Sentence("next_deadline", named | {"open": line.due, "expected": line.expected})


def changed(situation: Situation, language: Language) -> str:
    """What has changed since the day before, as a sentence."""
    when = "yesterday" if situation.is_today else "day_before"
    changes = [
        phrase(key, language, count=count)
        for key, count in (
            ("change_done", situation.newly_done),
            ("change_overdue", situation.newly_overdue),
        )
        if count
    ]
    if not changes:
        return phrase(f"unchanged_{when}", language)
    if len(situation.shares) > 1 and not is_small(situation):
        before, now = (format_percent(share) for share in situation.shares[-2:])
        if before != now:
            changes.append(phrase("change_share", language, before=before, now=now))
    return phrase(f"changed_{when}", language, changes=", ".join(changes))


def from_behind(children: Sequence[Child]) -> list[Child]:
    """The children from which anything is expected, the furthest behind first."""
    compared = [one for one in children if one.share is not None]
    return sorted(compared, key=lambda one: (one.share, -one.overdue, -one.days_overdue, one.unit))


def furthest_behind(children: Sequence[Child]) -> list[Child]:
    """The children to name: those furthest behind, if they are few and others further ahead."""
    ranked = from_behind(children)
    behind = [one for one in ranked if one.share != ranked[-1].share]
    if len(behind) > MAX_NAMES and behind[0].share == behind[MAX_NAMES].share:
        return []
    return behind[:MAX_NAMES]


def is_small(situation: Situation) -> bool:
    """Whether so little is expected that a percentage says less than the count."""
    return situation.expected < MIN_FOR_PERCENT
