"""Errors that a person can mend. Commands tell their message and nothing else; whatever is no such error is one of ours, and ends with a traceback."""

from collections.abc import Sequence
from typing import ClassVar


class PravahError(Exception):
    """Its message says what is wrong, where, and what to do."""


class FindingsError(PravahError, ValueError):
    """A file that cannot be used, with everything found wrong in it."""

    subject: ClassVar[str] = "the file"
    shown: ClassVar[int] = 1_000
    """So many findings stand in the message; `findings` has them all."""

    def __init__(self, findings: Sequence[object]) -> None:
        """Keep the findings; the message has one line each."""
        self.findings = list(findings)
        more = (
            [f"… and {len(self.findings) - self.shown:,} more"]
            if len(self.findings) > self.shown
            else []
        )
        super().__init__(
            "\n".join(
                [
                    f"{len(self.findings)} findings in {self.subject}:",
                    *map(str, self.findings[: self.shown]),
                    *more,
                ]
            )
        )
