"""Leases with fencing tokens, in the table `leases` (`docs/adr/0022`).

A lease is held by one process at a time. Each claim has a higher token than the one before, and
every write that the lease protects carries its token: the server compares the two when the
statement begins, so a process that lost the lease, or was paused while it lost it, cannot write.
The time of a lease decides only when another process may claim it, so clocks need not agree.

`hold_lease` claims, renews and releases. `token_condition` is the fence within a statement, and
`wait_for_older_statements` waits for those that passed the fence before the token was raised.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, NoReturn
from uuid import uuid4

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from pravah.errors import PravahError
from pravah.settings import ClickHouseSettings
from sinks.connection import Session, first_line
from sinks.migrate import Schema

log = logging.getLogger(__name__)

# Ledger, journal and chunks. Workers and repairs write under its token without holding it; a
# rebuild holds it.
FIGURES = "figures"
# Held by a repair, so that no two write the same difference.
REPAIRS = "repairs"

# Environment variable by which a rebuild hands its token to the worker that it starts.
TOKEN_VARIABLE = "PRAVAH_LEASE_TOKEN"  # noqa: S105

# After this time without a renewal the holder counts as ended or paused.
LEASE_SECONDS = 15
_RENEW_SECONDS = 3.0
_MAX_CLAIMS = 5
_POLL_SECONDS = 0.1
_LOG_INTERVAL_SECONDS = 10.0
# The stage of a claim that follows an interrupted one, until `Lease.enter_stage` says otherwise.
_TAKEOVER = "takeover"
# FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, and the text by which a stale token is recognised.
_THROWN, _STALE = 395, "stale lease token"


class LeaseHeldError(PravahError):
    """Another process holds the lease; the message names it."""


class FencedError(PravahError):
    """The token of a write is no longer the newest one; nothing was written."""


class LeaseState(NamedTuple):
    """The newest claims of a lease. There is more than one only while processes compete for it."""

    token: int
    """The newest token; 0 before the first claim."""
    holder: str | None
    """Description of a holder whose claim has not expired."""
    interrupted: bool
    """The last holder ended without releasing its claim, and the claim has expired."""
    stage: str
    """Work that an interrupted holder left behind; empty if none."""

    @property
    def is_free(self) -> bool:
        """Whether nobody holds it and no interrupted holder left work behind."""
        return self.holder is None and not self.interrupted


def read_lease(client: Client, name: str) -> LeaseState:
    """Read the state of a lease, by the server's clock."""
    rows = client.execute(
        """
        SELECT token, description, stage, released, expires_at > now64(3)
        FROM leases FINAL
        WHERE name = %(name)s AND token = (SELECT max(token) FROM leases WHERE name = %(name)s)
        """,
        {"name": name},
    )
    token = int(rows[0][0]) if rows else 0
    claims = [row[1:] for row in rows if not row[3]]
    holders = [description for description, _, _, is_live in claims if is_live]
    stages = [stage for _, stage, _, _ in claims if stage]
    return LeaseState(
        token,
        holder=holders[0] if holders else None,
        interrupted=bool(claims) and not holders,
        stage=stages[0] if stages else "",
    )


def check_is_free(client: Client, name: str) -> None:
    """Raise `LeaseHeldError` if a process holds the lease now."""
    holder = read_lease(client, name).holder
    if holder is not None:
        _raise_held(holder)


def _raise_held(holder: str) -> NoReturn:
    msg = f"{holder} is running; try again when it has ended"
    raise LeaseHeldError(msg)


def token_condition(name: str, token: int) -> str:
    """SQL condition that is true, or fails the statement if a newer token exists.

    The server evaluates a scalar subquery once, when the statement begins, also if there are no
    rows. `is_stale` recognises the error.
    """
    stale = f"throwIf(max(token) != {token}, '{_STALE}')"
    return f"(SELECT {stale} FROM leases WHERE name = '{name}') = 0"


def token_comment(database: str, **tokens: int) -> str:
    """Value of the setting `log_comment` that marks a statement with the tokens of its leases.

    Args:
        database: name.
        tokens: by the name of the lease.
    """
    return " ".join(f"{_mark(database, name)}{token}" for name, token in tokens.items())


def _mark(database: str, name: str) -> str:
    return f"pravah:{database}:{name}:"


def is_stale(error: BaseException) -> bool:
    """Whether a statement failed by its `token_condition`."""
    return (
        isinstance(error, ServerException)
        and error.code == _THROWN
        and _STALE in str(error.message)
    )


class Lease:
    """A claim of this process. Its methods may be called from any thread."""

    def __init__(self, session: Session, name: str, description: str, state: LeaseState) -> None:
        self.name = name
        self.token = state.token + 1
        # What an interrupted holder left behind is left behind until it is finished.
        self.stage = (state.stage or _TAKEOVER) if state.interrupted else ""
        self._session = session
        self._description = description
        self._holder = uuid4().hex
        self._renewal = 0
        self._is_fenced = False
        self._lock = threading.Lock()

    @property
    def condition(self) -> str:
        """SQL condition that fails a statement once the lease is lost."""
        return token_condition(self.name, self.token)

    def check(self) -> None:
        """Raise `FencedError` if another process is known to have claimed the lease."""
        if self._is_fenced:
            self._raise_fenced()

    def claim(self, schema: Schema) -> bool:
        """Write the claim. True if no other claim has its token or a higher one."""
        self._write("true", LEASE_SECONDS)
        if schema.cluster:
            sync = f"SYSTEM SYNC REPLICA {schema.database}.leases{schema.on_cluster}"
            self._session.run(lambda client: client.execute(sync))
        query = """
            SELECT count() FROM leases
            WHERE name = %(name)s
              AND (token > %(token)s OR token = %(token)s AND holder != %(holder)s)
        """
        values = {"name": self.name, "token": self.token, "holder": self._holder}
        ((rivals,),) = self._session.run(lambda client: client.execute(query, values))
        return not rivals

    def enter_stage(self, stage: str) -> None:
        """Record what a successor must finish if this process ends now; empty if nothing.

        Raises:
            FencedError: another process has claimed the lease.
        """
        self._renew(stage, LEASE_SECONDS)

    def renew(self) -> None:
        """Prolong the lease.

        Raises:
            FencedError: another process has claimed the lease.
        """
        self._renew(None, LEASE_SECONDS)

    def release(self) -> None:
        """Let others claim the lease. In a stage it counts as interrupted, not as released.

        Raises:
            FencedError: another process has claimed the lease.
        """
        self._renew(None, 0)

    def _renew(self, stage: str | None, seconds: int) -> None:
        with self._lock:
            self.check()
            self.stage = self.stage if stage is None else stage
            self._renewal += 1
            try:
                self._write(self.condition, seconds)
            except ServerException as error:
                if is_stale(error):
                    self._is_fenced = True
                    self._raise_fenced()
                raise

    def _write(self, condition: str, seconds: int) -> None:
        query = f"""
            INSERT INTO leases
                (name, token, holder, description, stage, renewal, expires_at, released)
            SELECT %(name)s, %(token)s, %(holder)s, %(description)s, %(stage)s, %(renewal)s,
                   now64(3) + toIntervalSecond(%(seconds)s), %(released)s
            WHERE {condition}
        """
        values = {
            "name": self.name,
            "token": self.token,
            "holder": self._holder,
            "description": self._description,
            "stage": self.stage,
            "renewal": self._renewal,
            "seconds": seconds,
            "released": int(not seconds and not self.stage),
        }
        self._session.run(lambda client: client.execute(query, values))

    def _raise_fenced(self) -> NoReturn:
        msg = (
            f"the lease {self.name!r} was lost: this process was paused, or could not reach "
            f"ClickHouse, for more than {LEASE_SECONDS} s, and another one has taken over"
        )
        raise FencedError(msg)


@contextmanager
def hold_lease(clickhouse: ClickHouseSettings, name: str, description: str) -> Iterator[Lease]:
    """Hold a lease for the length of a block. A thread renews it.

    Args:
        clickhouse: of the deployment.
        name: `FIGURES` or `REPAIRS`.
        description: for the message of `LeaseHeldError`, such as "a rebuild".

    Raises:
        LeaseHeldError: another process holds it.
    """
    session = Session(clickhouse, "writer")
    schema = Schema(clickhouse.database, clickhouse.cluster)
    ended = threading.Event()
    try:
        lease = _claim(session, schema, name, description)
        thread = threading.Thread(target=_renew, args=(lease, ended), daemon=True, name="lease")
        thread.start()
        try:
            yield lease
        finally:
            ended.set()
            thread.join()
            try:
                lease.release()
            except FencedError:
                pass
            except Exception as error:  # noqa: BLE001 - it expires by itself
                log.warning("the lease %r was not released: %s", name, first_line(error))
    finally:
        session.close()


def _claim(session: Session, schema: Schema, name: str, description: str) -> Lease:
    """Claim the next token.

    Two processes that claim at once may both withdraw, but never both succeed: each reads the
    claims of others after it has written its own.
    """
    for _ in range(_MAX_CLAIMS):
        state = session.run(lambda client: read_lease(client, name))
        if state.holder is not None:
            _raise_held(state.holder)
        lease = Lease(session, name, description, state)
        if lease.claim(schema):
            return lease
        with suppress(FencedError):
            lease.release()
        time.sleep(random.uniform(0.05, 0.5))  # noqa: S311
    msg = f"other processes compete for the lease {name!r}; try again"
    raise LeaseHeldError(msg)


def _renew(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(_RENEW_SECONDS):
        try:
            lease.renew()
        except FencedError as error:
            log.error("%s", error)  # noqa: TRY400 - no defect
            return
        except Exception as error:  # noqa: BLE001 - the fence protects meanwhile
            log.warning("the lease %r was not renewed: %s", lease.name, first_line(error))


def wait_for_older_statements(client: Client, schema: Schema, lease: Lease) -> None:
    """Wait until no statement with an older token of this lease runs any more.

    A statement whose client was paused or lost ends by the server's `receive_timeout`, which
    `sinks.rollup_store` sets.
    """
    mark = _mark(schema.database, lease.name)
    processes = (
        f"clusterAllReplicas('{schema.cluster}', system.processes)"
        if schema.cluster
        else "system.processes"
    )
    query = f"""
        SELECT count() FROM {processes}
        WHERE arrayExists(
            word -> startsWith(word, %(mark)s)
                AND toUInt64OrZero(substring(word, %(begin)s)) < %(token)s,
            splitByChar(' ', Settings['log_comment'])
        )
    """
    values = {"mark": mark, "begin": len(mark) + 1, "token": lease.token}
    warned = time.monotonic() - _LOG_INTERVAL_SECONDS + 1
    while running := int(client.execute(query, values)[0][0]):
        lease.check()
        if time.monotonic() - warned > _LOG_INTERVAL_SECONDS:
            warned = time.monotonic()
            log.warning("waiting for %d statements that older processes have begun", running)
        time.sleep(_POLL_SECONDS)
