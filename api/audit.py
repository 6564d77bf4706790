"""Audit log: one JSON line per request to `/v1`. Tokens are never logged."""

import logging
from datetime import datetime

import orjson
from starlette.types import Scope

from pravah.days import KOLKATA

logger = logging.getLogger("pravah.audit")


def log_request(scope: Scope, holder: str | None, status: int, seconds: float) -> None:
    """Log a request.

    Args:
        scope: of the ASGI request.
        holder: name of the token; None if the request had no valid one.
        status: HTTP status of the response.
        seconds: until the last byte was sent.
    """
    line = {
        "at": datetime.now(KOLKATA).isoformat(),
        "holder": holder,
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "status": status,
        "seconds": round(seconds, 3),
    }
    logger.info(orjson.dumps(line).decode())
