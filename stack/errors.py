"""Errors of the stack on this machine."""

from pravah.errors import PravahError


class StackError(PravahError):
    """The stack cannot be installed, started or reached; the message says what to do."""
