"""The ingest service: events, bodies of hooks and pulled submissions into the gateway's store.

Everything that only reads happens before the transaction; everything that depends on stored state
is one job of the store. So a request is accepted as a whole, refused with every reason, or not
stored at all.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pravah.events import EventError
from pravah.producer import ProducerError
from pravah.settings import Settings
from producers.gateway import direct_events
from producers.gateway.archive import ArchivedBody
from producers.gateway.edits import Place, find_place, save_links
from producers.gateway.issued_hashes import StoredIssuedHashes
from producers.gateway.limits import is_deeper
from producers.gateway.registry import RegistryWatcher, UnitChecker
from producers.gateway.results import (
    MAX_DETAIL_LENGTH,
    BodyResult,
    EventsResult,
    ItemResult,
    Refusal,
    SubmissionsResult,
    redact,
)
from producers.gateway.sources import FieldSource, FieldSourcesError, read_field_sources
from producers.gateway.store import Store
from producers.gateway.submissions import (
    MappedSubmission,
    SubmissionMapper,
    apply_submission,
    submission_from_json,
    submission_to_json,
)
from producers.gateway.transaction import Transaction
from producers.mapping.gazetteer import read_aliases
from producers.mapping.pseudonyms import IssuedHashes, Pseudonymiser
from producers.mapping.submissions import Submission
from producers.mapping.tools import READERS, BodyError
from producers.mapping.tools.json_body import to_utf8
from producers.outbox import OutboxRelay

if TYPE_CHECKING:
    from concurrent.futures import Future

# Headers archived with a body: none that authenticates the sender.
_ARCHIVED_HEADERS = ("content-type", "user-agent")
_FLUSH_POLL_INTERVAL_S = 0.05


class IngestService:
    """Accepts events, bodies of hooks and submissions. Thread-safe."""

    def __init__(
        self,
        store: Store,
        sources: Mapping[str, FieldSource],
        units: UnitChecker,
        make_pseudonymiser: Callable[[IssuedHashes], Pseudonymiser | None],
    ) -> None:
        """Read the mappings.

        Args:
            store: the gateway's file.
            sources: by name.
            units: checks which units a source may report for.
            make_pseudonymiser: with the installation's keys, from a record of the issued hashes;
                returns None if the installation has no key.

        Raises:
            FieldSourcesError: with every finding of every mapping.
        """
        self.store, self.sources, self.units = store, sources, units
        self._mapper = SubmissionMapper(sources, units, make_pseudonymiser)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[Self]:
        """Open the gateway of an installation, and relay its outbox to Kafka until the block ends.

        Several processes may do so at the same time.

        Raises:
            FieldSourcesError, RegistryError: with every error of the configuration.
            OSError, sqlite3.DatabaseError, OutboxFullError: the file cannot be opened.
        """
        sources = read_field_sources(settings.gateway_sources)
        aliases = read_aliases(settings.gateway_aliases) if settings.gateway_aliases else {}
        units = UnitChecker(aliases, settings.max_future_hours)
        with Store.open(settings) as store:
            ingest = cls(
                store, sources, units, lambda issued: Pseudonymiser.from_settings(settings, issued)
            )
            watcher = RegistryWatcher(units, store, settings.kafka)
            if not units.has_registry:
                # without Kafka the watcher keeps trying; until then every request gets a 503
                with suppress(ProducerError):
                    watcher.poll()
            relay = OutboxRelay(store.path, settings.kafka)
            store.on_commit = relay.wake
            watcher.start()
            relay.start()
            try:
                yield ingest
            finally:
                watcher.stop()
                relay.stop()

    def source(self, name: str) -> FieldSource:
        """The source of a name.

        Raises:
            FieldSourcesError: there is none.
        """
        found = self.sources.get(name)
        if found is None:
            msg = f"no source is called {name!r}; there are {', '.join(self.sources)}"
            raise FieldSourcesError(msg)
        return found

    def flush(self, timeout: float) -> bool:
        """Wait until Kafka confirmed everything in the outbox.

        Args:
            timeout: seconds.

        Returns:
            Whether the outbox is empty.
        """
        deadline = time.monotonic() + timeout
        with self.store.open_read_only() as connection:
            while connection.execute("SELECT rows FROM outbox_state").fetchone()[0]:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_FLUSH_POLL_INTERVAL_S)
        return True

    # --- /v1/events

    def ingest_events(
        self, source: FieldSource, body: bytes, *, archive_id: int | None = None
    ) -> "Future[EventsResult]":
        """Ingest an event or an array of events, each on its own.

        Args:
            source: the sender.
            body: JSON.
            archive_id: of the archived body that is sent again.

        Returns:
            What became of them, once it is on disk.

        Raises:
            NotReadyError, StoreBusyError: nothing was stored.
        """
        try:
            values = direct_events.split_body(body, source)
        except EventError as error:
            refusal = Refusal(error.reason, redact(error.detail))
            return self.store.submit(
                lambda transaction: direct_events.refuse_events(
                    transaction, source, body, refusal, archive_id
                )
            )
        events = [direct_events.parse(value, source, self.units) for value in values]
        return self.store.submit(
            lambda transaction: direct_events.apply_events(
                transaction, source, body, events, self.units, archive_id
            )
        )

    # --- hooks

    def ingest_body(
        self,
        source: FieldSource,
        body: bytes,
        headers: Mapping[str, str],
        *,
        archive_id: int | None = None,
    ) -> "Future[BodyResult]":
        """Ingest the body of a tool's hook, as a whole or not at all.

        Args:
            source: the sender.
            body: as it came.
            headers: by name in lower case.
            archive_id: of the archived body that is sent again. Its submissions may replace equally
                new states, since the mapping may have changed.

        Returns:
            What became of it, once it is on disk.

        Raises:
            NotReadyError, StoreBusyError: nothing was stored.
        """
        issued = StoredIssuedHashes(self.store)
        archived_headers = {name: headers[name] for name in _ARCHIVED_HEADERS if name in headers}
        try:
            submissions = _read_submissions(source, body, headers)
        except BodyError as error:
            refusal = Refusal("unreadable", str(error))
            return self.store.submit(
                lambda transaction: _refuse_body(
                    transaction, source, body, archived_headers, [refusal], archive_id
                )
            )
        mapped = [self._map(source, one, one.name, issued) for one in submissions]

        def job(transaction: Transaction) -> BodyResult:
            placed = [
                self._place(transaction, source, one, issued, replace_equal=archive_id is not None)
                for one in mapped
            ]
            refusals = [one.refusal for one, _ in placed if one.refusal is not None]
            if refusals:
                for one, place in placed:
                    save_links(transaction, source.name, one.submission, place)
                return _refuse_body(
                    transaction, source, body, archived_headers, refusals, archive_id
                )
            applied = [
                apply_submission(
                    transaction, source.name, one.submission, one.mapped_events, place=place
                )
                for one, place in placed
            ]
            issued.save(transaction)
            items = [item for item, _ in applied]
            is_new = any(item.outcome == "accepted" for item in items) or not items
            if archive_id is not None or is_new:
                transaction.archive.record(
                    source.name, "hook", body, archive_id, headers=archived_headers
                )
            transaction.count_items(source.name, items)
            return BodyResult(items, sum(events for _, events in applied))

        return self.store.submit(job)

    # --- pulled submissions

    def ingest_submissions(
        self,
        source: str,
        submissions: Sequence[Submission],
        *,
        cursor: str | None = None,
        archive_id: int | None = None,
    ) -> SubmissionsResult:
        """Ingest pulled submissions, each on its own, and the pull's cursor in one transaction.

        Args:
            source: its name.
            submissions: as the tool has them now; known states change nothing.
            cursor: the next result of `store.get_cursor`; None leaves it unchanged.
            archive_id: of the archived submission that is sent again.

        Raises:
            FieldSourcesError: there is no such source.
            NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: nothing was stored.
        """
        sender = self.source(source)
        issued = StoredIssuedHashes(self.store)
        places = self.store.places(source, submissions)
        mapped = [
            self._map(sender, one, place.name, issued)
            if place.is_newer or archive_id is not None
            else MappedSubmission(one, [], None)
            for one, place in zip(submissions, places, strict=True)
        ]

        def job(transaction: Transaction) -> SubmissionsResult:
            items, refused, events = [], [], 0
            for known in mapped:
                one, place = self._place(
                    transaction, sender, known, issued, replace_equal=archive_id is not None
                )
                item, count = _apply_pulled(transaction, source, one, place, archive_id)
                items.append(item)
                events += count
                if item.refusal is not None:
                    refused.append((one.submission, item.refusal.reason, item.refusal.detail))
            issued.save(transaction)
            if cursor is not None:
                transaction.set_cursor(source, cursor)
            transaction.count_items(source, items)
            outcomes = [item.outcome for item in items]
            return SubmissionsResult(
                outcomes.count("accepted"), outcomes.count("repeated"), refused, events
            )

        return self.store.submit(job).result()

    def _map(
        self, source: FieldSource, submission: Submission, name: str, issued: IssuedHashes
    ) -> MappedSubmission:
        """Map a submission under the name of the stored one."""
        mapped = self._mapper.map(source, replace(submission, name=name), issued)
        return mapped._replace(submission=submission, name=name)

    def _place(
        self,
        transaction: Transaction,
        source: FieldSource,
        mapped: MappedSubmission,
        issued: IssuedHashes,
        *,
        replace_equal: bool,
    ) -> tuple[MappedSubmission, Place]:
        """Find where a state belongs; maps it again if it is stored under another name."""
        place = find_place(transaction, source.name, mapped.submission, replace_equal=replace_equal)
        if place.is_newer and mapped.name != place.name:
            mapped = self._map(source, mapped.submission, place.name, issued)
        return mapped, place

    # --- archived bodies

    def resubmit(self, archived: ArchivedBody, body: bytes | None = None) -> list[Refusal]:
        """Ingest an archived body again, corrected or with a corrected mapping.

        Args:
            archived: the archived body.
            body: its correction; None: the body as it came.

        Returns:
            Why it is still refused; empty if it was accepted.

        Raises:
            FieldSourcesError: its source does not exist any more.
            BodyError: it is an archived submission, and the correction is not one.
            NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: nothing was stored.
        """
        source = self.source(archived.source)
        content = archived.body if body is None else body
        if archived.kind == "events":
            result = self.ingest_events(source, content, archive_id=archived.id).result()
            return [item.refusal for item in result.items if item.refusal is not None]
        if archived.kind == "hook":
            future = self.ingest_body(source, content, archived.headers, archive_id=archived.id)
            return future.result().refusals
        pulled = self.ingest_submissions(
            archived.source, [submission_from_json(content)], archive_id=archived.id
        )
        return [Refusal(reason, detail) for _, reason, detail in pulled.refused]


def _read_submissions(
    source: FieldSource, body: bytes, headers: Mapping[str, str]
) -> list[Submission]:
    """The submissions in a hook's body.

    Raises:
        BodyError: it cannot be read.
    """
    body = to_utf8(body)
    if is_deeper(body, source.limits.depth):
        msg = f"the body is nested more than {source.limits.depth} deep; no form is"
        raise BodyError(msg)
    if source.tool == "events":
        msg = "this source sends events that are ready, to /v1/events"
        raise BodyError(msg)
    return READERS[source.tool](body, headers)


def _refuse_body(
    transaction: Transaction,
    source: FieldSource,
    body: bytes,
    headers: Mapping[str, str],
    refusals: list[Refusal],
    archive_id: int | None,
) -> BodyResult:
    refusals = [refusal._replace(detail=redact(refusal.detail)) for refusal in refusals]
    reason = refusals[0].reason
    details = "; ".join(refusal.detail for refusal in refusals)
    transaction.archive.record(
        source.name,
        "hook",
        body,
        archive_id,
        headers=headers,
        refusal=Refusal(reason, details[:MAX_DETAIL_LENGTH]),
    )
    transaction.count(source.name, "refused", reason)
    return BodyResult([], 0, refusals)


def _apply_pulled(
    transaction: Transaction,
    source: str,
    mapped: MappedSubmission,
    place: Place,
    archive_id: int | None,
) -> tuple[ItemResult, int]:
    """What became of a pulled submission, and how many events were put into the outbox."""
    if mapped.refusal is not None:
        save_links(transaction, source, mapped.submission, place)
        content = submission_to_json(mapped.submission)
        refusal = mapped.refusal._replace(detail=redact(mapped.refusal.detail)[:MAX_DETAIL_LENGTH])
        transaction.archive.record(source, "submission", content, archive_id, refusal=refusal)
        return ItemResult(mapped.submission.name, "refused", refusal), 0
    item, events = apply_submission(
        transaction,
        source,
        mapped.submission,
        mapped.mapped_events,
        place=place,
    )
    if item.outcome == "accepted" or archive_id is not None:
        content = submission_to_json(mapped.submission)
        transaction.archive.record(source, "submission", content, archive_id)
    return item, events
