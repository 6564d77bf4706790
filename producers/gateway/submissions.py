"""Submissions: mapping them to events, applying their states, and their archived form."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

import orjson

from pravah.events import parse_event
from producers.gateway.edits import Place, find_place, save_place
from producers.gateway.registry import UnitChecker
from producers.gateway.results import ItemResult, Refusal
from producers.gateway.sources import FieldSource, FieldSourcesError
from producers.gateway.submission_diff import SubmissionId, decide, diff
from producers.gateway.transaction import Transaction
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.pseudonyms import IssuedHashes, Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.mapping.text import normalise_text
from producers.mapping.tools import BodyError
from producers.mapping.tools.json_body import parse_json
from producers.outbox import outbox_record

_ANY_FORM = "*"


class MappedSubmission(NamedTuple):
    """A submission with its events, or with the reason why it has none."""

    submission: Submission
    mapped_events: list[MappedEvent]
    refusal: Refusal | None
    name: str = ""
    """The name of the stored submission, which the events have; empty if they were left out."""


class SubmissionMapper:
    """Maps submissions by the mappings of their sources. Thread-safe."""

    def __init__(
        self,
        sources: Mapping[str, FieldSource],
        units: UnitChecker,
        make_pseudonymiser: Callable[[IssuedHashes], Pseudonymiser | None],
    ) -> None:
        """Read the mappings of all sources.

        Args:
            sources: by name.
            units: checks which units a source may report for.
            make_pseudonymiser: with the installation's keys, from a record of the issued hashes;
                returns None if the installation has no key.

        Raises:
            FieldSourcesError: with every finding of every mapping.
        """
        self._units, self._make_pseudonymiser = units, make_pseudonymiser
        self._mappings = _read_mappings(sources)

    def map(
        self, source: FieldSource, submission: Submission, issued: IssuedHashes
    ) -> MappedSubmission:
        """Map a submission, and check that its source may report it.

        Raises:
            NotReadyError: no registry is known yet.
        """
        refusal = self._units.check_changed_at(submission.changed_at)
        if refusal is not None or submission.deleted:
            return MappedSubmission(submission, [], refusal)
        mappings = self._mappings[source.name]
        mapping = mappings.get(normalise_text(submission.form)) or mappings.get(_ANY_FORM)
        if mapping is None:
            refusal = Refusal(
                "unknown_form",
                f"the source {source.name} has no mapping for this form; add it to [forms]",
            )
            return MappedSubmission(submission, [], refusal)
        try:
            mapped_events = map_submission(
                mapping,
                submission,
                tool=source.tool,
                producer=source.name,
                units=self._units.gazetteer,
                pseudonymiser=self._make_pseudonymiser(issued),
            )
        except UnmappableError as error:
            return MappedSubmission(submission, [], Refusal("unmappable", str(error)))
        refusals = (self._units.check_event(source.unit, one.to_event()) for one in mapped_events)
        return MappedSubmission(submission, mapped_events, next(filter(None, refusals), None))


def _read_mappings(sources: Mapping[str, FieldSource]) -> dict[str, dict[str, FormMapping]]:
    found: dict[str, dict[str, FormMapping]] = {}
    findings = []
    for source in sources.values():
        found[source.name] = {}
        for form, path in source.forms.items():
            try:
                mapping = FormMapping.from_toml(path.read_text(encoding="utf-8-sig"))
                if found[source.name].setdefault(normalise_text(form), mapping) is not mapping:
                    findings.append(
                        f"{source.name}.toml: form {form}: stands there twice, in two Unicode forms"
                    )
            except (MappingError, OSError, UnicodeDecodeError) as error:
                findings += [
                    f"{source.name}.toml: form {form}: {path}: {line}"
                    for line in str(error).splitlines()
                ]
    if findings:
        raise FieldSourcesError("\n".join(findings))
    return found


def apply_submission(
    transaction: Transaction,
    source: str,
    submission: Submission,
    mapped_events: Sequence[MappedEvent],
    *,
    replace_equal: bool = False,
    place: Place | None = None,
) -> tuple[ItemResult, int]:
    """Store a state of a submission and put its events, unless the stored state is as new.

    Args:
        transaction: everything is written in it.
        source: the source's name.
        submission: its identity, and when the state came about.
        mapped_events: those of the state; none if it was deleted.
        replace_equal: replace an equally new state as well, because the mapping may have changed.
        place: found in the same transaction; None: it is looked up.

    Returns:
        What became of it, and how many events were put into the outbox.
    """
    place = place or find_place(transaction, source, submission, replace_equal=replace_equal)
    save_place(transaction, source, submission, place)
    events = sum(
        _store_state(
            transaction,
            SubmissionId(source, submission.form, name),
            place.changed_at,
            [],
            deleted=True,
        )
        for name in place.merged
    )
    if not place.is_newer:
        return ItemResult(submission.name, "repeated"), events + _restore(
            transaction, source, submission.form, place
        )
    events += _store_state(
        transaction,
        SubmissionId(source, submission.form, place.name),
        place.changed_at,
        mapped_events,
        deleted=submission.deleted,
    )
    return ItemResult(submission.name, "accepted"), events


def _restore(transaction: Transaction, source: str, form: str, place: Place) -> int:
    """Put a held state back if the one that came after it turns out to be older.

    Returns the number of events.
    """
    held = transaction.take_held_state(source, form, place.name)
    submission_id = SubmissionId(source, form, place.name)
    known = transaction.known_state(submission_id)
    if held is None or known is None or known.deleted:
        return 0
    state, mapped_events = held
    transaction.set_current_alias(source, form, place.name, state, is_certain=True)
    return _store_state(transaction, submission_id, known.changed_at, mapped_events, deleted=False)


def _store_state(
    transaction: Transaction,
    submission_id: SubmissionId,
    changed_at: datetime,
    mapped_events: Sequence[MappedEvent],
    *,
    deleted: bool,
) -> int:
    """Store a state and put the events that it needs; returns their number."""
    change = diff(
        submission_id, changed_at, mapped_events, transaction.stored_events(submission_id)
    )
    decision = decide(
        change, transaction.related_events(change), transaction.versions(change.entities)
    )
    transaction.save_decision(submission_id, changed_at, decision, deleted=deleted)
    values = map(orjson.dumps, decision.events)
    transaction.put([outbox_record(parse_event(value), value) for value in values])
    return len(decision.events)


def submission_to_json(submission: Submission) -> bytes:
    """The archived form of a submission; equal submissions give equal bytes."""
    return orjson.dumps(asdict(submission), option=orjson.OPT_SORT_KEYS, default=_encode)


def submission_from_json(content: bytes) -> Submission:
    """Parse the archived form of a submission.

    Raises:
        BodyError: it is not one.
    """
    read = parse_json(content)
    try:
        return Submission(**(read | {"changed_at": datetime.fromisoformat(read["changed_at"])}))
    except (TypeError, KeyError, ValueError) as error:
        msg = (
            "this is no submission as `pravah gateway rejected show` writes it: "
            f"{type(error).__name__}"
        )
        raise BodyError(msg) from None


def _encode(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
