"""Errors whose message is meant for the user.

Commands print the message of a `PravahError` and exit; any other exception is a defect and ends
with a traceback.
"""

from collections.abc import Sequence
from typing import ClassVar


class PravahError(Exception):
    """Base of errors that the user can resolve: the message says what is wrong and what to do."""


class FindingsError(PravahError, ValueError):
    """A file cannot be used. `findings` lists everything that is wrong with it."""

    subject: ClassVar[str] = "the file"
    """The file's name in the message."""
    max_shown: ClassVar[int] = 1_000
    """The message lists at most this many findings."""

    def __init__(self, findings: Sequence[object]) -> None:
        self.findings = list(findings)
        more = (
            [f"… and {len(self.findings) - self.max_shown:,} more"]
            if len(self.findings) > self.max_shown
            else []
        )
        super().__init__(
            "\n".join(
                [
                    f"{len(self.findings)} findings in {self.subject}:",
                    *map(str, self.findings[: self.max_shown]),
                    *more,
                ]
            )
        )
