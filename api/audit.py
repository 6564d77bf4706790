"""Audit log: one JSON line per request to `/v1` with a valid token. Tokens are never logged.

Requests without a valid token cost a stranger nothing, so they are counted: of an address and a
status, the first request in a minute has a line, the others one line with their number. Lines,
addresses and files are bounded.
"""

import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson
from starlette.types import Scope

from api.addresses import client_address
from pravah.days import KOLKATA

logger = logging.getLogger("pravah.audit")

MAX_FILE_BYTES, MAX_OLD_FILES = 10_000_000, 9
# How long requests without a valid token are counted before their number is logged.
COUNT_SECONDS = 60.0
# Addresses without a valid token that are counted by themselves; the others are counted together.
MAX_ADDRESSES = 20
_OTHERS = "(others)"
_MAX_NAME, _MAX_PATH, _MAX_QUERY, _MAX_STRANGERS_QUERY = 200, 200, 2_000, 200


class AuditLog:
    """Writes the lines of one application to `logger`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since, self._at = clock(), _now()
        self._counts: dict[tuple[str, int], int] = {}

    def log_request(self, scope: Scope, holder: str | None, status: int, seconds: float) -> None:
        """Log or count a request.

        Args:
            scope: of the ASGI request.
            holder: name of the token; None if the request had no valid one.
            status: HTTP status of the response.
            seconds: until the last byte was sent.
        """
        address = client_address(scope)
        if holder is None and self._has_counted(address, status):
            return
        max_query = _MAX_STRANGERS_QUERY if holder is None else _MAX_QUERY
        _write(
            at=_now(),
            holder=None if holder is None else _cut(holder, _MAX_NAME),
            address=address,
            path=_cut(scope["path"], _MAX_PATH),
            query=_cut(scope["query_string"].decode("latin-1"), max_query),
            status=status,
            seconds=round(seconds, 3),
        )

    def write_counts(self) -> None:
        """Write the numbers of requests that were counted, and begin anew."""
        counts, since = self._counts, self._at
        self._counts, self._since, self._at = {}, self._clock(), _now()
        for (address, status), count in counts.items():
            if count:
                _write(
                    at=self._at,
                    since=since,
                    holder=None,
                    address=address,
                    status=status,
                    requests=count,
                )

    def _has_counted(self, address: str, status: int) -> bool:
        """Count a request without a valid token; False if it is to have a line instead."""
        if self._clock() - self._since >= COUNT_SECONDS:
            self.write_counts()
        key = (address, status)
        if key not in self._counts and len(self._counts) >= MAX_ADDRESSES:
            key = (_OTHERS, status)
            self._counts.setdefault(key, 0)
        if key in self._counts:
            self._counts[key] += 1
            return True
        self._counts[key] = 0
        return False


def open_log(path: Path) -> logging.Handler:
    """Open the log's file for the owner alone; at 10 MB it is renamed, and nine old are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _PrivateFile(
        path, maxBytes=MAX_FILE_BYTES, backupCount=MAX_OLD_FILES, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


class _PrivateFile(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        stream = open(  # noqa: SIM115
            self.baseFilename, "a", encoding=self.encoding, opener=_open_private
        )
        os.fchmod(stream.fileno(), 0o600)  # a file that was there already
        return stream


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(**line: str | float | None) -> None:
    logger.info(orjson.dumps(line).decode())


def _now() -> str:
    return datetime.now(KOLKATA).isoformat()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… ({len(text):,} characters)"
