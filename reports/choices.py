"""The choices for a report: its format and its languages."""

from typing import Literal

Format = Literal["html", "pdf", "xlsx", "png", "json"]
Lang = Literal["hi", "en", "both"]
