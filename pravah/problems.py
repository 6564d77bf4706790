"""Errors of the HTTP services as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818
    """An error that an HTTP service answers with a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        """Describe the answer.

        Args:
            status: of the answer.
            detail: a sentence that says what is wrong and what to do.
            headers: further headers of the answer.
            members: further members of the problem document.
        """
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, headers, members


def document(status: HTTPStatus, detail: str, **members: Any) -> dict[str, Any]:
    """Build a problem document, the body of the answer."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        **members,
    }
