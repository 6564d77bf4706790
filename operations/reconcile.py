"""Recount every figure from the ledger, compare, and repair what differs."""

import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from clickhouse_driver import Client

from operations.close_chunks import close_chunks
from pravah.settings import Settings
from sinks.connection import connect
from sinks.deployment import REGISTRY, get_fact
from sinks.recount import Recount, durable_cut, is_at_rest, record_reconciliation, recount
from sinks.repair import Repair, repair

# A recount of everything may take minutes.
_QUERY_SECONDS = 3_600


@dataclass(frozen=True)
class Reconciliation:
    """Result of `reconcile`."""

    outcome: Recount
    """The comparison; after a repair, the one that followed it."""
    end: int
    """Number of records in the log when it began."""
    repair: Repair | None
    """None if nothing was repaired."""
    seconds: float

    @property
    def records_not_compared(self) -> int:
        """Newer records, in chunks that no worker closed."""
        return max(0, self.end - self.outcome.cut.records)


def author() -> str:
    """Who repairs, as recorded with it: the account on this machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def reconcile(
    settings: Settings,
    *,
    reason: str | None,
    wait: float,
    examples: int,
    report: Callable[[str], None],
) -> Reconciliation:
    """Compare every figure with the ledger, and record the result.

    Workers may run: the comparison is made behind the closed chunks.

    Args:
        settings: of the deployment.
        reason: repair what differs, with this reason; None: only compare.
        wait: seconds without a closed chunk after which open chunks are left out.
        examples: how many differences to return.
        report: called with one line if it has to wait.

    Raises:
        sinks.repair.RepairRunningError: another repair runs.
    """
    began = time.monotonic()
    with connect(settings.clickhouse, "writer", send_receive_timeout=_QUERY_SECONDS) as client:
        registry = get_fact(client, REGISTRY) or ""
        is_repair = reason is not None
        outcome, end = _compare(
            settings, client, wait, examples, report=report, closed_only=is_repair
        )
        done = None
        if reason is not None and not outcome.equal:
            done = repair(
                client,
                settings.clickhouse,
                outcome.cut,
                kind="reconcile",
                reason=reason,
                author=author(),
                registry=registry,
            )
            outcome = recount(client, outcome.cut, examples=examples)
        seconds = time.monotonic() - began
        record_reconciliation(
            client,
            outcome,
            repair=done.number if done else 0,
            registry=registry,
            seconds=seconds,
        )
    return Reconciliation(outcome, end, done, seconds)


def _compare(
    settings: Settings,
    client: Client,
    wait: float,
    examples: int,
    *,
    report: Callable[[str], None],
    closed_only: bool,
) -> tuple[Recount, int]:
    """Compare as much as can be compared now; returns the outcome, and the records of the log."""
    closing = close_chunks(settings, client, wait=wait, report=report)
    if not closing.is_complete and not closed_only:
        # No worker closes the open chunks. If nobody writes them, they can be compared as well.
        cut = durable_cut(client)
        outcome = recount(client, cut, examples=examples)
        if is_at_rest(client, cut):
            return outcome, closing.end
    return recount(client, closing.cut, examples=examples), closing.end
