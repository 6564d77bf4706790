"""Sources to pull from: a TOML file of addresses that names, for each, where its token is kept."""

import tomllib
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Any

from pravah.errors import PravahError


class SourcesError(PravahError, ValueError):
    """A sources file cannot be used; the message lists everything wrong with it."""


@dataclass(frozen=True)
class Source:
    """A state's API. The token is never in a sources file, a URL or a log."""

    name: str
    url: str
    token: str = field(repr=False)


def sources_from_toml(text: str) -> list[Source]:
    """Parse a sources file.

    Each table is a source with `url`, and with `token_env` (an environment variable) or
    `token_file` (a file), which holds its token.

    Raises:
        SourcesError: lists everything wrong with the file.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"not TOML: {error}"
        raise SourcesError(msg) from None
    sources, findings = [], []
    for name, entry in content.items():
        if not isinstance(entry, dict) or not str(entry.get("url", "")).startswith(
            ("http://", "https://")
        ):
            findings.append(f"[{name}]: url: http:// or https:// and the service's address")
            continue
        token = _token(entry)
        if token is None:
            findings.append(
                f"[{name}]: token_env (an environment variable) or token_file (a file) must hold"
                " its token"
            )
            continue
        sources.append(Source(name, entry["url"].rstrip("/"), token))
    if not sources and not findings:
        findings = ["no source: a table such as [CG] with url and token_env is needed"]
    if findings:
        raise SourcesError("\n".join(findings))
    return sources


def _token(entry: dict[str, Any]) -> str | None:
    if "token_env" in entry:
        return environ.get(str(entry["token_env"])) or None
    file = Path(str(entry.get("token_file", "")))
    return (file.read_text(encoding="utf-8").strip() or None) if file.is_file() else None
