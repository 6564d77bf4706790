"""The names of the field tools that `tools` reads, for options of commands."""

from typing import Literal

Tool = Literal["kobo", "odk", "commcare", "rapidpro", "glific"]
