"""Field tools' bodies and rows into `Submission`s, one module a tool; pure.

Each has `read(body, headers)`: what its hook sent; an empty list if that needs no more than an answer. A tool that can be asked has also `submission(row, …)`: one row of its
API. A hook and a row of the same state give equal submissions, except that ODK's hook knows no time. What cannot be read raises `BodyError`.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from producers.mapping.submissions import Submission
from producers.mapping.tools import commcare, glific, kobo, odk, rapidpro
from producers.mapping.tools.body import BodyError

__all__ = ["READERS", "BodyError", "Tool"]

Tool = Literal["kobo", "odk", "commcare", "rapidpro", "glific"]
Reader = Callable[[bytes, Mapping[str, str]], list[Submission]]

READERS: dict[Tool, Reader] = {
    "kobo": kobo.read,
    "odk": odk.read,
    "commcare": commcare.read,
    "rapidpro": rapidpro.read,
    "glific": glific.read,
}
"""The reader of each tool's hook."""
