"""What can go wrong on this machine."""

from schemas.errors import ToldError


class StackError(ToldError):
    """The stack cannot be installed, started or reached; the message says what to do."""
