"""Which stored submission an arriving state belongs to, where a tool names each edit anew.

Servers of KoboToolbox before 2022, and clients that send on what they have, name a state by its own
id and by that of the state it replaced, and not by the first one. The table `aliases` links these
ids to the name under which the submission is stored, which never changes: that of the state that
came first. States may come in any order, several times, by hook and pull. Of two states with the
same time the one that replaced the other counts. If the states between two edits never came, the
tool's number links them, and the one that came last counts until a state between them shows
otherwise. Without a number both are stored: then the later one stays, and the events of the earlier
one are retracted.
"""

from datetime import datetime
from typing import NamedTuple

from producers.gateway.submission_diff import SubmissionId
from producers.gateway.transaction import Alias, Transaction
from producers.mapping.conversions import ConversionError, to_identifier
from producers.mapping.submissions import Submission


class Place(NamedTuple):
    """Where an arriving state belongs."""

    name: str
    """The name under which its submission is stored."""
    is_newer: bool
    """Whether it replaces the stored state."""
    changed_at: datetime
    """The instant to store: never earlier than that of the state it replaces."""
    merged: tuple[str, ...] = ()
    """Names under which earlier states of the same submission are stored as well."""
    is_replaced: bool = False
    """Whether a later state than this one is stored."""
    is_by_number: bool = False
    """Whether only the tool's number links the state to the stored one, not a name."""


def find_place(
    transaction: Transaction, source: str, submission: Submission, *, replace_equal: bool = False
) -> Place:
    """Find the stored submission of a state, and decide which of both is newer. Writes nothing.

    Args:
        transaction: may be read-only.
        source: the source's name.
        submission: the arriving state.
        replace_equal: an equally new state replaces the stored one.
    """
    finder = _Finder(transaction, source, submission)
    name, merged, is_by_number = finder.find()
    own = finder.alias(submission.state or submission.name)
    known = transaction.known_state(SubmissionId(source, submission.form, name))
    changed_at = submission.changed_at
    if known is None:  # the first state
        return Place(name, is_newer=True, changed_at=changed_at, merged=merged)
    # a later state came before, or it is the original of an edit that is linked by its number
    if not submission.deleted and (
        (own is not None and own.is_replaced) or (is_by_number and not submission.state)
    ):
        return Place(name, is_newer=False, changed_at=changed_at, merged=merged, is_replaced=True)
    if changed_at > known.changed_at:
        return Place(
            name, is_newer=True, changed_at=changed_at, merged=merged, is_by_number=is_by_number
        )
    # a repetition: only a body that is sent again on purpose replaces an equal state
    if known.deleted or not submission.state or (own is not None and own.is_current):
        is_newer = changed_at == known.changed_at and replace_equal
        return Place(name, is_newer, changed_at, merged)
    # an edit whose time says nothing: the chain of names decides
    is_newer = finder.is_next() and (not is_by_number or changed_at == known.changed_at)
    is_replaced = not is_newer and not transaction.is_held(
        source, submission.form, submission.state
    )
    return Place(name, is_newer, known.changed_at, merged, is_replaced, is_by_number)


def save_links(transaction: Transaction, source: str, submission: Submission, place: Place) -> None:
    """Store the names of a state that was refused, so that later states find its submission."""
    _link(transaction, source, submission, place.name)


def save_place(transaction: Transaction, source: str, submission: Submission, place: Place) -> None:
    """Store the names of a state, and which states it replaced."""
    for name in place.merged:
        transaction.merge_aliases(source, submission.form, name, place.name)
    _link(transaction, source, submission, place.name)
    replaced = {submission.previous, submission.name}
    if not submission.state:
        # the number's original is known, so that another one is a submission of its own
        replaced = {f"#{submission.number}"} if submission.number else set()
    if place.is_replaced:
        replaced.add(submission.state or submission.name)
    elif place.is_newer and submission.state:
        if place.is_by_number:
            transaction.hold_current_state(source, submission.form, place.name)
        transaction.set_current_alias(
            source,
            submission.form,
            place.name,
            submission.state,
            is_certain=not place.is_by_number,
        )
    for state in replaced - {""}:
        transaction.set_replaced_alias(source, submission.form, state)


class _Finder:
    """Looks up the names of one state."""

    def __init__(self, transaction: Transaction, source: str, submission: Submission) -> None:
        self._transaction, self._source, self._submission = transaction, source, submission

    def alias(self, name: str) -> Alias | None:
        return self._transaction.find_alias(self._source, self._submission.form, name)

    def find(self) -> tuple[str, tuple[str, ...], bool]:
        """Return the stored name, other stored names to merge, and whether by number only."""
        one = self._submission
        by_state, by_previous, by_name = map(self._find_name, (one.state, one.previous, one.name))
        if by_state is None and by_previous is not None and self._is_copy(by_previous):
            return one.state, (), False
        found = list(dict.fromkeys(filter(None, (by_state, by_previous, by_name))))
        if found:
            return found[0], tuple(found[1:]), False
        numbered = self.alias(f"#{one.number}") if one.number else None
        if numbered is not None and (one.state or not numbered.is_replaced):
            return numbered.name, (), True
        return one.name, (), False

    def is_next(self) -> bool:
        """Whether no other state is known to have replaced the one before."""
        previous = self.alias(self._submission.previous or self._submission.name)
        return previous is None or not previous.is_replaced

    def _find_name(self, name: str) -> str | None:
        if not name:
            return None
        if (alias := self.alias(name)) is not None:
            return alias.name
        submission_id = SubmissionId(self._source, self._submission.form, name)
        return name if self._transaction.known_state(submission_id) is not None else None

    def _is_copy(self, name: str) -> bool:
        """Whether the state is a second successor with another number: a copy, not an edit.

        KoboToolbox's "duplicate" left the previous state's name in the copy until 2025.
        """
        one = self._submission
        previous = self.alias(one.previous)
        if previous is None or not previous.is_replaced or not one.number:
            return False
        numbers = {
            alias
            for alias in self._transaction.aliases_of(self._source, one.form, name)
            if alias.startswith("#")
        }
        return bool(numbers) and f"#{one.number}" not in numbers


def _is_name(text: str) -> bool:
    """Whether a text can identify a state: no template, nothing garbled."""
    try:
        return bool(to_identifier(text, may_be_day=True))
    except ConversionError:
        return False


def _link(transaction: Transaction, source: str, submission: Submission, name: str) -> None:
    names = {submission.state, submission.previous, submission.name} - {"", name}
    numbers = {f"#{submission.number}"} if submission.number else set()
    # a state whose name has no meaning is refused, and must draw no other submission to it
    if (names or numbers) and all(map(_is_name, (name, *names))):
        transaction.save_aliases(source, submission.form, names | numbers, name)
