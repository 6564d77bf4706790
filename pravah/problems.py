"""An HTTP service's answer that says what is wrong: RFC 9457, problem details."""

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818
    """An answer that says what is wrong."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        """Take the status, a sentence that helps, headers, and further members of the answer."""
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, headers, members


def document(status: HTTPStatus, detail: str, **members: Any) -> dict[str, Any]:
    """The answer's body."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        **members,
    }
