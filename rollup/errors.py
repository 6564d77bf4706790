"""The error of a call that a stop cancels."""


class StoppedError(RuntimeError):
    """A call was cancelled because the process stops."""
