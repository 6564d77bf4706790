"""Connections to ClickHouse, and which of its errors are retried."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import NetworkError, ServerException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pravah.settings import ClickHouseSettings, Role
from rollup.errors import StoppedError
from sinks.native import ColumnClient

log = logging.getLogger(__name__)
T = TypeVar("T")

# A call that takes longer is reported as failing: a server that hangs refuses nothing.
_UNANSWERED_SECONDS = 10.0
# Server errors that pass by themselves: time-outs, memory and parts limits, a full disk, readonly
# replicas, Keeper away. Others are defects of ours, and a retry does not help.
RETRYABLE_CODES = frozenset(
    {3, 107, 159, 164, 202, 203, 209, 210, 241, 242, 243, 252, 285, 319, 425, 999}
)


def connect(
    clickhouse: ClickHouseSettings,
    role: Role,
    *,
    database: str | None = None,
    send_receive_timeout: int = 120,
    **settings: Any,
) -> ColumnClient:
    """Create a client of one account. Not thread-safe; to be discarded after any error.

    Args:
        clickhouse: of the deployment.
        role: `writer`, `grafana` or `aicc`.
        database: default database instead of the configured one, which may not exist yet.
        send_receive_timeout: seconds without data from the server after which a query fails.
        settings: ClickHouse settings for every query of this client.

    Raises:
        LookupError: no such account is configured.
    """
    account = clickhouse.account(role)
    return ColumnClient(
        clickhouse.host,
        port=clickhouse.native_port,
        database=clickhouse.database if database is None else database,
        user=account.user,
        password=account.password.get_secret_value(),
        secure=clickhouse.secure,
        ca_certs=str(clickhouse.ca_file) if clickhouse.ca_file else None,
        client_name="pravah",
        connect_timeout=10,
        send_receive_timeout=send_receive_timeout,
        sync_request_timeout=10,
        settings=settings,
    )


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed later: network errors, a server that is overloaded."""
    if isinstance(
        error, NetworkError | EOFError | OSError
    ):  # a broken connection arrives as a bare EOFError
        return True
    return isinstance(error, ServerException) and error.code in RETRYABLE_CODES


class Session:
    """A client that reconnects after every error, for one thread."""

    def __init__(self, clickhouse: ClickHouseSettings, role: Role, **settings: Any) -> None:
        """Connect at the first call, not here."""
        self._connect = partial(connect, clickhouse, role, **settings)
        self._client: ColumnClient | None = None

    def run(self, call: Callable[[ColumnClient], T]) -> T:
        """Make one call; the connection is dropped if it fails."""
        if self._client is None:
            self._client = self._connect()
        try:
            return call(self._client)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next call makes another."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.disconnect()
            except (OSError, EOFError, DriverError):
                log.debug("closing a broken ClickHouse connection failed", exc_info=True)


class RetryingSession(Session):
    """A session that retries: while ClickHouse is away its caller waits and loses nothing."""

    def __init__(
        self,
        clickhouse: ClickHouseSettings,
        role: Role,
        stop: threading.Event,
        **settings: Any,
    ) -> None:
        """Wait at most until `stop` is set."""
        super().__init__(clickhouse, role, **settings)
        self._stop = stop
        self._failed_attempts = 0
        self._attempt_since: float | None = None
        self.recovered_at = 0.0
        """Time of the last success after a failure or a long wait; seconds since 1970-01-01Z."""
        self._retrying = Retrying(
            retry=retry_if_exception(is_retryable),
            wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.2),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=self._failed,
            reraise=True,
        )

    def run(self, call: Callable[[ColumnClient], T]) -> T:
        """Make one call, and retry it after growing pauses of up to 5 s if its error allows that.

        Raises:
            StoppedError: `stop` was set before it succeeded.
            Exception: the first error that is not retryable.
        """
        try:
            return cast("T", self._retrying(self._attempt, call))
        except Exception as error:
            if self._stop.is_set() and is_retryable(error):
                msg = "stopped while ClickHouse was away"
                raise StoppedError(msg) from error
            raise
        finally:
            self._failed_attempts, self._attempt_since = 0, None

    @property
    def consecutive_failures(self) -> int:
        """Failed attempts of the call in progress, 0 when all is well. For any thread.

        An attempt without an answer for `_UNANSWERED_SECONDS` counts as failed.
        """
        since = self._attempt_since
        return self._failed_attempts + (
            since is not None and time.monotonic() - since > _UNANSWERED_SECONDS
        )

    def _attempt(self, call: Callable[[ColumnClient], T]) -> T:
        self._attempt_since = time.monotonic()
        result = super().run(call)
        if self.consecutive_failures:
            self.recovered_at = time.time()
        return result

    def _failed(self, state: RetryCallState) -> None:
        self._failed_attempts, self._attempt_since = state.attempt_number, None
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "ClickHouse call failed (attempt %d), trying again: %s",
            state.attempt_number,
            first_line(error),
        )


def first_line(error: BaseException | None) -> str:
    """Format an error in one line, without the server's stack trace."""
    if isinstance(error, ServerException):
        text = str(error.message).strip().partition(" Stack trace:")[0].splitlines()[0]
        return f"ClickHouse error {error.code}: {text.removeprefix('DB::Exception: ')}"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'connection closed'}"
