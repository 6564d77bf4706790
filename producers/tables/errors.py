"""The error of a file that cannot be read as a table."""


class TableError(ValueError):
    """A file that cannot be read as a table."""
