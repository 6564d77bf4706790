"""The way of what is sent to the store: a hook's body, events that are ready, or pulled submissions.

What only reads stands outside the transaction; what decides by what was told before is one job of the store. So everything that comes is taken as a whole, or refused with all that is
wrong with it, or not taken at all.
"""

import base64
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import orjson

from pravah.events import Event, EventError, parse_event
from pravah.producer import ProducerError
from pravah.settings import Settings
from producers.gateway.issued_hashes import IssuedState
from producers.gateway.limits import is_deeper
from producers.gateway.registry import Refusal, Units, Watch
from producers.gateway.sources import FieldSource, FieldSourcesError, field_sources
from producers.gateway.store import Store, StoredSubmission, Transaction
from producers.gateway.submission_diff import (
    Ready,
    SubmissionId,
    compare,
    decide,
    follows,
    left_behind,
)
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.gazetteer import read_aliases
from producers.mapping.pseudonyms import IssuedHashes, Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.mapping.tools import READERS, BodyError
from producers.outbox import OutboxRecord, OutboxRelay, letter

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["BodyResult", "EventsResult", "IngestService", "Item", "SubmissionsResult", "take_state"]

_LONG_NUMBER = re.compile(r"\d{7,}")
_DETAIL = 1_000
_ANY_FORM = "*"


class Item(NamedTuple):
    """What became of one event or submission."""

    name: str
    """The event's id, if it could be read; the submission's name."""
    outcome: Literal["accepted", "repeated", "superseded", "refused"]
    """Superseded: a higher version of its entity stands under another unit already, so this one counts nowhere."""
    refusal: Refusal | None = None


@dataclass(frozen=True)
class EventsResult:
    """What became of ready events, in their order."""

    items: list[Item]


@dataclass(frozen=True)
class BodyResult:
    """What became of a hook's body: all of it was taken or nothing."""

    items: list[Item]
    events: int
    """That go to Kafka."""
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True)
class SubmissionsResult:
    """What became of pulled submissions, each by itself."""

    accepted: int
    repeated: int
    refused: list[tuple[Submission, str, str]]
    """With reason and detail; they are kept, to be mended and sent again."""
    events: int


class _Ready(NamedTuple):
    """An event that came ready, checked as far as it can be without the store."""

    name: str
    event: Event | None
    value: bytes
    refusal: Refusal | None


class _Mapped(NamedTuple):
    """A submission, and what it stands for or why that cannot be told."""

    submission: Submission
    mapped_events: list[MappedEvent]
    refusal: Refusal | None


class IngestService:
    """Takes what comes, from every side. Thread-safe."""

    def __init__(
        self,
        store: Store,
        sources: Mapping[str, FieldSource],
        units: Units,
        persons: Callable[[IssuedHashes], Pseudonymiser | None],
    ) -> None:
        """Read the mappings.

        Args:
            store: where everything goes.
            sources: by name.
            units: what they may report for.
            persons: the installation's keys, with a memory of the hashes that were given out.

        Raises:
            FieldSourcesError: with everything found wrong in the mappings.
        """
        self.store, self.sources, self.units, self._persons = store, sources, units, persons
        self._mappings = _read_mappings(sources)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[Self]:
        """An installation's, for the length of a block; what is taken goes to Kafka as long as it is open, in whichever process.

        Raises:
            FieldSourcesError, RegistryError: something is set up wrongly; everything that is.
            OSError, sqlite3.DatabaseError, OutboxFullError: the file cannot be opened.
        """
        sources = field_sources(settings.gateway_sources)
        aliases = read_aliases(settings.gateway_aliases) if settings.gateway_aliases else {}
        units = Units(aliases, settings.max_future_hours)
        with Store.open(settings) as store:
            reception = cls(
                store,
                sources,
                units,
                lambda given_out: Pseudonymiser.from_settings(settings, given_out),
            )
            watch = Watch(units, store, settings.kafka)
            if not units.is_known:  # the first start: better now than with the first body
                with suppress(
                    ProducerError
                ):  # it goes on trying; until then nothing can be checked, which every sender is told
                    watch.look()
            forwarder = OutboxRelay(store.path, settings.kafka)
            store.on_put = forwarder.wake
            watch.start()
            forwarder.start()
            try:
                yield reception
            finally:
                watch.stop()
                forwarder.stop()

    def source(self, name: str) -> FieldSource:
        """A source by its name.

        Raises:
            FieldSourcesError: there is none.
        """
        found = self.sources.get(name)
        if found is None:
            msg = f"no source is called {name!r}; there are {', '.join(self.sources)}"
            raise FieldSourcesError(msg)
        return found

    def flush(self, timeout: float) -> bool:
        """Wait until Kafka has everything, so many seconds at most; whether it has."""
        deadline = time.monotonic() + timeout
        with self.store.reading() as connection:
            while connection.execute("SELECT rows FROM outbox_state").fetchone()[0]:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.05)
        return True

    # --- events that are ready ------------------------------------------------------------------------------------------------------------------------

    def take_events(
        self, source: FieldSource, body: bytes, *, again: int | None = None
    ) -> "Future[EventsResult]":
        """Take one event or an array of events; each stands for itself.

        Args:
            source: who sends.
            body: JSON.
            again: the number of the kept body that is sent again.

        Returns:
            What became of them, once it is on the disk.

        Raises:
            NotReadyError, StoreBusyError: nothing was taken.
        """
        try:
            values = _events(body, source)
        except EventError as error:
            refusal = Refusal(error.reason, _told(error.detail))
            return self.store.submit(
                lambda transaction: self._refuse_events(transaction, source, body, refusal, again)
            )
        ready = [self._ready(source, value) for value in values]
        return self.store.submit(
            lambda transaction: self._take_ready(transaction, source, body, ready, again)
        )

    def _ready(self, source: FieldSource, value: bytes) -> _Ready:
        try:
            event = parse_event(value)
        except EventError as error:
            return _Ready("", None, value, Refusal(error.reason, _told(error.redacted_detail)))
        return _Ready(
            str(event.event_id),
            event,
            value,
            self.units.check(source.unit, event.unit, event.occurred_at),
        )

    def _take_ready(
        self,
        transaction: Transaction,
        source: FieldSource,
        body: bytes,
        ready: list[_Ready],
        again: int | None,
    ) -> EventsResult:
        letters: list[OutboxRecord] = []
        ids: set[bytes] = set()
        items = [self._take_one(transaction, source, one, letters, ids) for one in ready]
        transaction.put(letters)
        refused = [item.refusal for item in items if item.refusal is not None]
        if refused:
            shown = "; ".join(
                f"{number}: {item.refusal.detail}"
                for number, item in enumerate(items)
                if item.refusal is not None
            )
            self._keep(
                transaction,
                source,
                "events",
                body,
                again,
                refused=Refusal(refused[0].reason, shown[:_DETAIL]),
            )
        elif letters or again is not None:
            self._keep(transaction, source, "events", body, again)
        _count(transaction, source, items)
        return EventsResult(items)

    def _take_one(
        self,
        transaction: Transaction,
        source: FieldSource,
        one: _Ready,
        letters: list[OutboxRecord],
        ids: set[bytes],
    ) -> Item:
        event = one.event
        if event is None or one.refusal is not None:
            return Item(one.name, "refused", one.refusal)
        if event.event_id.bytes in ids or transaction.is_known_id(event.event_id.bytes):
            return Item(one.name, "repeated")
        now = Ready(
            event.unit,
            event.version,
            event.kind,
            event.occurred_at.isoformat(),
            event.source.model_dump(),
        )
        known = transaction.ready(event.entity_name)
        if known is not None:
            # whoever may not report for a unit may not take away what stands there either
            refusal = self.units.check(
                source.unit, known.unit, datetime.fromisoformat(known.occurred_at)
            )
            if refusal is not None and refusal.is_forbidden:
                return Item(
                    one.name,
                    "refused",
                    refusal._replace(
                        detail=f"its entity was reported before, and {refusal.detail}"
                    ),
                )
        letters += [
            _letter(retraction) for retraction in left_behind(event.entity_name, now, known)
        ]
        ids.add(event.event_id.bytes)
        if not follows(now, known):
            return Item(one.name, "superseded")
        letters.append(letter(event, one.value))
        if known is None or now.version > known.version:
            transaction.keep_ready(event.entity_name, now)
        return Item(one.name, "accepted")

    def _refuse_events(
        self,
        transaction: Transaction,
        source: FieldSource,
        body: bytes,
        refusal: Refusal,
        again: int | None,
    ) -> EventsResult:
        self._keep(transaction, source, "events", body, again, refused=refusal)
        transaction.count(source.name, "refused", refusal.reason)
        return EventsResult([Item("", "refused", refusal)])

    # --- hooks ----------------------------------------------------------------------------------------------------------------------------------------

    def take_body(
        self,
        source: FieldSource,
        body: bytes,
        headers: Mapping[str, str],
        *,
        again: StoredSubmission | None = None,
    ) -> "Future[BodyResult]":
        """Take what a tool's hook sent: all of it or nothing.

        Args:
            source: who sends.
            body: as it came.
            headers: by names in small letters.
            again: the kept body that is sent again: its state may replace an equally old one, since the mapping may be another.

        Returns:
            What became of it, once it is on the disk.

        Raises:
            NotReadyError, StoreBusyError: nothing was taken.
        """
        pending = IssuedState(self.store)
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        try:
            if is_deeper(body, source.limits.depth):
                msg = f"the body is nested more than {source.limits.depth} deep; no form is"
                raise BodyError(msg)  # noqa: TRY301
            if source.tool == "events":
                msg = "this source sends events that are ready, to /v1/events"
                raise BodyError(msg)  # noqa: TRY301
            mapped = [
                self._map(source, submission, pending)
                for submission in READERS[source.tool](body, headers)
            ]
            refusals = [one.refusal for one in mapped if one.refusal is not None]
        except BodyError as error:
            mapped, refusals = [], [Refusal("unreadable", str(error))]
        number = again.id if again is not None else None
        if refusals:
            return self.store.submit(
                lambda transaction: self._refuse_body(
                    transaction, source, body, kept, refusals, number
                )
            )

        def job(transaction: Transaction) -> BodyResult:
            taken = [
                take_state(
                    transaction,
                    source.name,
                    one.submission,
                    one.mapped_events,
                    anew=again is not None,
                )
                for one in mapped
            ]
            pending.keep(transaction)
            items = [item for item, _ in taken]
            if again is not None or any(item.outcome == "accepted" for item in items) or not items:
                self._keep(transaction, source, "hook", body, number, headers=kept)
            _count(transaction, source, items)
            return BodyResult(items, sum(events for _, events in taken))

        return self.store.submit(job)

    def _refuse_body(
        self,
        transaction: Transaction,
        source: FieldSource,
        body: bytes,
        headers: Mapping[str, str],
        refusals: list[Refusal],
        again: int | None,
    ) -> BodyResult:
        refusals = [refusal._replace(detail=_told(refusal.detail)) for refusal in refusals]
        first = refusals[0]
        shown = Refusal(first.reason, "; ".join(refusal.detail for refusal in refusals)[:_DETAIL])
        self._keep(transaction, source, "hook", body, again, headers=headers, refused=shown)
        transaction.count(source.name, "refused", first.reason)
        return BodyResult([], 0, refusals)

    # --- submissions ----------------------------------------------------------------------------------------------------------------------------------

    def take_submissions(
        self,
        source: str,
        submissions: Sequence[Submission],
        *,
        cursor: str | None = None,
        again: StoredSubmission | None = None,
    ) -> SubmissionsResult:
        """Take pulled submissions, each for itself, and where the pull goes on, in one transaction.

        Args:
            source: its name.
            submissions: as the tool has them now; what is known already changes nothing.
            cursor: what `store.get_cursor` is to give next; None leaves it as it is.
            again: the kept submission that is sent again.

        Raises:
            FieldSourcesError: there is no such source.
            NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: nothing was taken.
        """
        sender = self.source(source)
        pending = IssuedState(self.store)
        names = [SubmissionId(source, one.form, one.name) for one in submissions]
        known = {} if again is not None else self.store.states(names)
        mapped = [
            _Mapped(one, [], None)
            if name in known and one.changed_at <= known[name]
            else self._map(sender, one, pending)
            for name, one in zip(names, submissions, strict=True)
        ]

        def job(transaction: Transaction) -> SubmissionsResult:
            items, refused, events = [], [], 0
            for one in mapped:
                item, count = self._take_pulled(transaction, sender, one, again)
                items.append(item)
                events += count
                if item.refusal is not None:
                    refused.append((one.submission, item.refusal.reason, item.refusal.detail))
            pending.keep(transaction)
            if cursor is not None:
                transaction.set_cursor(source, cursor)
            _count(transaction, sender, items)
            outcomes = [item.outcome for item in items]
            return SubmissionsResult(
                outcomes.count("accepted"), outcomes.count("repeated"), refused, events
            )

        return self.store.submit(job).result()

    def _take_pulled(
        self,
        transaction: Transaction,
        source: FieldSource,
        one: _Mapped,
        again: StoredSubmission | None,
    ) -> tuple[Item, int]:
        number = again.id if again is not None else None
        if one.refusal is not None:
            refusal = one.refusal._replace(detail=_told(one.refusal.detail)[:_DETAIL])
            self._keep(
                transaction,
                source,
                "submission",
                submission_json(one.submission),
                number,
                refused=refusal,
            )
            return Item(one.submission.name, "refused", refusal), 0
        item, events = take_state(
            transaction, source.name, one.submission, one.mapped_events, anew=again is not None
        )
        if item.outcome == "accepted" or again is not None:
            self._keep(transaction, source, "submission", submission_json(one.submission), number)
        return item, events

    def _map(self, source: FieldSource, submission: Submission, persons: IssuedState) -> _Mapped:
        """What a submission stands for, or why that cannot be told."""
        refusal = self.units.check_changed_at(submission.changed_at)
        if refusal is not None or submission.deleted:
            return _Mapped(submission, [], refusal)
        mapping = self._mappings[source.name].get(submission.form) or self._mappings[
            source.name
        ].get(_ANY_FORM)
        if mapping is None:
            return _Mapped(
                submission,
                [],
                Refusal(
                    "unknown_form",
                    f"the source {source.name} has no mapping for this form; add it to [forms]",
                ),
            )
        try:
            mapped_events = map_submission(
                mapping,
                submission,
                tool=source.tool,
                producer=source.name,
                units=self.units.gazetteer,
                pseudonymiser=self._persons(persons),
            )
        except UnmappableError as error:
            return _Mapped(submission, [], Refusal("unmappable", str(error)))
        checked = (
            self.units.check(
                source.unit, one.unit, datetime.fromisoformat(str(one.content["occurred_at"]))
            )
            for one in mapped_events
        )
        return _Mapped(submission, mapped_events, next(filter(None, checked), None))

    # --- what was kept ------------------------------------------------------------------------------------------------------------------------------------

    def take_again(self, kept: StoredSubmission, body: bytes | None = None) -> list[Refusal]:
        """Send a kept body again, mended or by a mended mapping; it is mended if nothing is refused.

        Args:
            kept: what was kept.
            body: what it should have been; None: as it was.

        Returns:
            Why it is still refused; empty if it is not.

        Raises:
            FieldSourcesError: its source is no more.
            BodyError: it is a kept submission, and the body is none.
            NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: it was not taken.
        """
        source = self.source(kept.source)
        content = kept.body if body is None else body
        if kept.kind == "events":
            taken = self.take_events(source, content, again=kept.id).result()
            return [item.refusal for item in taken.items if item.refusal is not None]
        if kept.kind == "hook":
            return self.take_body(source, content, kept.headers, again=kept).result().refusals
        pulled = self.take_submissions(kept.source, [submission_from_json(content)], again=kept)
        return [Refusal(reason, detail) for _, reason, detail in pulled.refused]

    def _keep(
        self,
        transaction: Transaction,
        source: FieldSource,
        kind: Literal["events", "hook", "submission"],
        body: bytes,
        again: int | None,
        *,
        headers: Mapping[str, str] | None = None,
        refused: Refusal | None = None,
    ) -> None:
        """Keep a body with what became of it, or say that of the one that was sent again."""
        if again is None:
            reason, detail = refused or ("", "")
            transaction.archive(
                source.name,
                kind,
                body,
                "refused" if refused else "accepted",
                headers=headers,
                reason=reason,
                detail=detail,
            )
        elif refused is None:
            transaction.mend(again, body)
        else:
            transaction.still_refused(again, refused.reason, refused.detail)


def take_state(
    transaction: Transaction,
    source: str,
    submission: Submission,
    mapped_events: Sequence[MappedEvent],
    *,
    anew: bool = False,
) -> tuple[Item, int]:
    """Take a state of a submission, unless one that is as new is known.

    Args:
        transaction: where everything goes.
        source: its name.
        submission: which one, and since when it is so.
        mapped_events: what it stands for; none if it was deleted.
        anew: an equally new state is taken as well, because the mapping may be another.

    Returns:
        What became of it, and how many events go to Kafka.
    """
    me = SubmissionId(source, submission.form, submission.name)
    known = transaction.changed_at(me)
    if known is not None and (
        submission.changed_at < known or (submission.changed_at == known and not anew)
    ):
        return Item(submission.name, "repeated"), 0
    change = compare(me, submission.changed_at, mapped_events, transaction.told(me))
    decision = decide(
        change, transaction.told_beside(change), transaction.versions(change.entities)
    )
    transaction.keep(me, submission.changed_at, decision, deleted=submission.deleted)
    transaction.put([_letter(event) for event in decision.events])
    return Item(submission.name, "accepted"), len(decision.events)


_KEPT_HEADERS = ("content-type", "user-agent")
"""What of the headers is kept with a body: nothing that proves who sent it."""


def _events(body: bytes, source: FieldSource) -> list[bytes]:
    """The events of a body, each as JSON; a single one byte for byte.

    Raises:
        EventError: it is no JSON, too deep, or has too many.
    """
    if is_deeper(body, source.limits.depth):
        reason = "invalid"
        raise EventError(
            reason, f"the body is nested more than {source.limits.depth} deep; no event is"
        )
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return [body]
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = "not_json"
        raise EventError(
            reason, f"the body is not JSON in UTF-8: {error.msg} at character {error.pos:,}"
        ) from None
    if len(found) > source.limits.events:
        reason = "too_many"
        raise EventError(
            reason,
            f"{len(found):,} events in one array, at most {source.limits.events:,} are allowed; send fewer at a time",
        )
    return [orjson.dumps(one) for one in found]


def _letter(event: Mapping[str, Any]) -> OutboxRecord:
    value = orjson.dumps(event)
    return letter(parse_event(value), value)


def _count(transaction: Transaction, source: FieldSource, items: Sequence[Item]) -> None:
    for (outcome, reason), number in Counter(
        (item.outcome, item.refusal.reason if item.refusal else "") for item in items
    ).items():
        transaction.count(source.name, outcome, reason, number)


def _told(detail: str) -> str:
    """Without long numbers: a field's name may be made of one."""
    return _LONG_NUMBER.sub("…", detail)


def _read_mappings(sources: Mapping[str, FieldSource]) -> dict[str, dict[str, FormMapping]]:
    found: dict[str, dict[str, FormMapping]] = {}
    findings = []
    for source in sources.values():
        found[source.name] = {}
        for form, path in source.forms.items():
            try:
                found[source.name][form] = FormMapping.from_toml(path.read_text(encoding="utf-8"))
            except (MappingError, OSError, UnicodeDecodeError) as error:
                findings += [
                    f"{source.name}.toml: form {form}: {path}: {line}"
                    for line in str(error).splitlines()
                ]
    if findings:
        raise FieldSourcesError("\n".join(findings))
    return found


def submission_json(submission: Submission) -> bytes:
    """A submission as it is kept; equal ones give equal bytes."""
    return orjson.dumps(asdict(submission), option=orjson.OPT_SORT_KEYS, default=_as_text)


def submission_from_json(content: bytes) -> Submission:
    """The submission again.

    Raises:
        BodyError: it is none.
    """
    try:
        read = orjson.loads(content)
        return Submission(**(read | {"changed_at": datetime.fromisoformat(read["changed_at"])}))
    except (orjson.JSONDecodeError, TypeError, KeyError, ValueError) as error:
        msg = f"this is no submission as `pravah gateway rejected show` writes it: {type(error).__name__}"
        raise BodyError(msg) from None


def _as_text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
