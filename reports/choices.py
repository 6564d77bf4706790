"""The formats of a report."""

from typing import Literal

Format = Literal["html", "pdf", "xlsx", "png", "json"]
