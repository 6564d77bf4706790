"""Rebuild the figures from the log or from the ledger, and go on where the log has lost records.

All three hold the lease on the figures (`sinks.rebuild.hold_figures`), so that no worker writes
meanwhile: one that starts waits, and one that was paused finds its token stale.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from typing import NamedTuple

from operations.worker_processes import StallWatch, start_worker, stop_worker
from pravah.errors import PravahError
from pravah.settings import Settings
from producers.topics.registry import read_registry
from reference.defaults import default_dictionary
from rollup.rebuild import Span, rebuild_chunks
from rollup.storage import EntityLookup
from rollup.version_columns import Encodings
from sinks.connection import connect
from sinks.deployment import REGISTRY, check_log, get_fact
from sinks.lag import Lag
from sinks.lease import FIGURES, TOKEN_VARIABLE, check_is_free
from sinks.rebuild import (
    FiguresHold,
    accepted_versions,
    chunk_spans,
    close_gap,
    empty_figures,
    filled_tables,
    hold_figures,
    ledger_partitions,
    replace_journal,
)
from sinks.recount import closed_cut
from sinks.rollup_store import RollupStore
from stack.groups import delete_group, wait_for_empty_group
from stack.topics import identify

_POLL_SECONDS = 0.2

Report = Callable[[str], None]
# Opens a progress bar for a number of records or versions; gives a function that advances it.
OpenProgress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


class RebuildRefusedError(LookupError):
    """The rebuild would harm the figures; the message says what to do first."""


class RebuildInterruptedError(PravahError):
    """The worker of a rebuild ended before its time."""


class LogRebuild(NamedTuple):
    """Outcome of a rebuild from the log."""

    records: int
    """Records that the log has or had."""
    lost: int
    """Of these, the ones that the log had lost before the rebuild."""
    accepted: int
    """Versions in the ledger."""
    seconds: float


class LedgerRebuild(NamedTuple):
    """Outcome of a rebuild from the ledger."""

    versions: int
    """Versions in the ledger."""
    entries: int
    """Entries in the journal."""
    seconds: float


class Gap(NamedTuple):
    """Offsets that the log lost before they were counted for good."""

    partition: int
    first: int
    end: int
    """Offset behind the last one."""


def rebuild_from_log(
    settings: Settings,
    *,
    discard: bool,
    from_what_is_left: bool,
    report: Report,
    open_progress: OpenProgress,
) -> LogRebuild:
    """Count the whole log into empty tables, by one worker, under the active registry.

    Args:
        settings: of the deployment.
        discard: empty the tables first.
        from_what_is_left: go on although the log has lost its beginning.
        report: called with one line if it has to wait.
        open_progress: for records of the log.

    Raises:
        RebuildRefusedError: workers run, the tables are not empty, or the log has lost records.
        LeaseHeldError: another rebuild runs.
        RebuildInterruptedError: the worker ended; running it again with `discard` starts over.
        StalledError: the worker makes no progress.
    """
    began = time.monotonic()
    _refuse_beside_workers(settings, report)
    with hold_figures(settings.clickhouse, "a rebuild from the log") as hold:
        with Lag(settings.kafka, hold.client) as lag:
            lost = {partition: offset for partition, offset in lag.begins().items() if offset}
            if lost and not from_what_is_left:
                msg = (
                    f"the log has lost {sum(lost.values()):,} records of partitions "
                    f"{', '.join(map(str, lost))}; --from-what-is-left counts without them"
                )
                raise RebuildRefusedError(msg)
            filled = filled_tables(hold.client)
            if filled and not discard:
                msg = (
                    f"{', '.join(filled)} in ClickHouse are not empty; --discard empties them, and "
                    "everything is counted again from the log"
                )
                raise RebuildRefusedError(msg)
            # Committed offsets go first: without them a worker reads each partition from its
            # beginning, also if this process ends before it has emptied the tables.
            if not delete_group(settings.kafka, settings.consumer_group):
                msg = f"a worker of the group {settings.consumer_group!r} has started; stop it"
                raise RebuildRefusedError(msg)
            empty_figures(hold)
            identity, partitions = identify(settings.kafka)
            check_log(hold.client, topic=identity, partitions=partitions)
            total = sum(lag.ends().values()) - sum(lost.values())
            records = _run_worker(settings, hold, lag, total, open_progress)
        ((accepted,),) = hold.client.execute("SELECT count() FROM events")
    return LogRebuild(records, sum(lost.values()), accepted, time.monotonic() - began)


def rebuild_from_ledger(
    settings: Settings, *, report: Report, open_progress: OpenProgress
) -> LedgerRebuild:
    """Fold the ledger again, chunk by chunk, into a journal that replaces the current one.

    Args:
        settings: of the deployment.
        report: called with one line if it has to wait.
        open_progress: for versions of the ledger.

    Raises:
        RebuildRefusedError: workers run, or the registries in Kafka and ClickHouse differ.
        UnknownSpanError: the ledger has a version outside all chunks.
        LeaseHeldError: another rebuild runs.
    """
    began = time.monotonic()
    _refuse_beside_workers(settings, report)
    with (
        hold_figures(settings.clickhouse, "a rebuild from the ledger") as hold,
        closing(RollupStore(settings.clickhouse, threading.Event())) as store,
    ):
        registry = read_registry(settings.kafka)
        if registry is None or registry.fingerprint() != get_fact(hold.client, REGISTRY):
            msg = (
                "the registry in Kafka is not the one in ClickHouse; load it again first: "
                "`pravah units load`"
            )
            raise RebuildRefusedError(msg)
        encodings = Encodings.of(registry, default_dictionary())
        spans = chunk_spans(hold.client)
        versions = ledger_partitions(hold.client)
        with (
            replace_journal(hold) as journal,
            open_progress(sum(versions.values())) as advance,
        ):
            for partition in sorted(spans.keys() | versions.keys()):
                # A connection each: versions behind the last chunk's end are not read.
                with connect(settings.clickhouse, "writer") as reader:
                    chunks = rebuild_chunks(
                        partition,
                        [Span(*span) for span in spans.get(partition, ())],
                        accepted_versions(reader, partition),
                        lambda offset, entities, partition=partition: store.find_versions(
                            [EntityLookup(partition, offset, entities)]
                        )[0],  # type: ignore[misc]
                        encodings=encodings,
                        filter_bits=settings.filter_bits,
                    )
                    for chunk in chunks:
                        journal.write(chunk.take_unwritten().journal)
                        advance(chunk.counts.accepted)
    return LedgerRebuild(sum(versions.values()), journal.entries, time.monotonic() - began)


def find_gaps(settings: Settings, *, report: Report) -> list[Gap]:
    """List records that the log lost before they were counted for good.

    Raises:
        RebuildRefusedError: workers run.
    """
    _refuse_beside_workers(settings, report)
    with connect(settings.clickhouse, "writer") as client, Lag(settings.kafka, client) as lag:
        return _gaps(lag, closed_cut(client).offsets)


def skip_gaps(settings: Settings, *, reason: str, report: Report) -> list[Gap]:
    """Let workers go on behind records that the log lost before they were counted for good.

    What an open chunk had made durable of them is removed from the figures.

    Args:
        settings: of the deployment.
        reason: recorded in `chunks`, for those who ask later.
        report: called with one line if it has to wait.

    Raises:
        RebuildRefusedError: workers run.
        LeaseHeldError: a rebuild runs.
    """
    _refuse_beside_workers(settings, report)
    with (
        hold_figures(settings.clickhouse, "`pravah rebuild lost`") as hold,
        Lag(settings.kafka, hold.client) as lag,
    ):
        gaps = _gaps(lag, closed_cut(hold.client).offsets)
        for gap in gaps:
            close_gap(hold, *gap, reason=reason)
    return gaps


def _gaps(lag: Lag, closed: Mapping[int, int]) -> list[Gap]:
    return [
        Gap(partition, closed.get(partition, 0), begin)
        for partition, begin in lag.begins().items()
        if begin > closed.get(partition, 0)
    ]


def _refuse_beside_workers(settings: Settings, report: Report) -> None:
    """Refuse early, with a clear message. What excludes workers and other rebuilds is the lease."""
    with connect(settings.clickhouse, "writer") as client:
        check_is_free(client, FIGURES)
    alive = wait_for_empty_group(
        settings.kafka,
        settings.consumer_group,
        seconds=settings.session_timeout_seconds,
        report=report,
    )
    if alive:
        msg = f"workers of the group {settings.consumer_group!r} run ({alive}): stop them first"
        raise RebuildRefusedError(msg)


def _run_worker(
    settings: Settings, hold: FiguresHold, lag: Lag, total: int, open_progress: OpenProgress
) -> int:
    """Run one worker until everything that the log has is in the figures; returns its records."""
    log = settings.home / "logs" / "rebuild.log"
    worker = start_worker(settings, log, environment={TOKEN_VARIABLE: str(hold.lease.token)})
    try:
        durable, watch = 0, StallWatch()
        with open_progress(total) as advance:
            while (position := lag.position()).behind:
                hold.lease.check()
                if worker.poll() is not None:
                    msg = f"the worker ended with code {worker.returncode}; see {log}"
                    raise RebuildInterruptedError(msg)
                watch.check(position.durable, f"the rebuild (see {log})")
                advance(position.durable - durable)
                durable = position.durable
                time.sleep(_POLL_SECONDS)
    finally:
        stop_worker(worker)
    return position.end
