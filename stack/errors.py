"""What can go wrong on this machine."""


class StackError(RuntimeError):
    """The stack cannot be installed, started or reached; the message says what to do."""
