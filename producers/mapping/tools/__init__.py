"""Adapters of field tools, one module per tool: hook bodies and API rows become `Submission`s.

Each module has `read_hook(body, headers)`: the submissions of a hook's body, an empty list if the
body needs no more than an answer. Tools that the gateway pulls from also have `read_row(row, …)`:
the submission of one row of the tool's API. A hook and a row of the same state give equal
submissions, except that ODK's hook carries no time. Input that cannot be read raises `BodyError`.
The modules are pure and import `pravah` and `producers.mapping` only. Start with `kobo`.
"""

from collections.abc import Callable, Mapping

from producers.mapping.submissions import Submission
from producers.mapping.tool_names import Tool
from producers.mapping.tools import commcare, glific, kobo, odk, rapidpro
from producers.mapping.tools.body import BodyError

__all__ = ["READERS", "BodyError", "Tool"]

Reader = Callable[[bytes, Mapping[str, str]], list[Submission]]

# The reader of each tool's hook.
READERS: dict[Tool, Reader] = {
    "kobo": kobo.read_hook,
    "odk": odk.read_hook,
    "commcare": commcare.read_hook,
    "rapidpro": rapidpro.read_hook,
    "glific": glific.read_hook,
}
