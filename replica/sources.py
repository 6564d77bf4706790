"""Where headquarters pulls from: a file of sources, and each one's token, which stands elsewhere."""

import tomllib
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Any


class SourcesError(ValueError):
    """A sources file that cannot be used, with everything found wrong in it."""


@dataclass(frozen=True)
class Source:
    """A state's service. The token never stands in a file of sources, in a URL or a log."""

    name: str
    url: str
    token: str = field(repr=False)


def sources_from_toml(text: str) -> list[Source]:
    """Read a sources file: a table a source, with `url`, and `token_env` or `token_file`, which say where its token is.

    Raises:
        SourcesError: with everything found wrong.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"not TOML: {error}"
        raise SourcesError(msg) from None
    found, findings = [], []
    for name, entry in content.items():
        if not isinstance(entry, dict) or not str(entry.get("url", "")).startswith(
            ("http://", "https://")
        ):
            findings.append(f"[{name}]: url: http:// or https:// and the service's address")
            continue
        token = _token(entry)
        if token is None:
            findings.append(
                f"[{name}]: token_env (an environment variable) or token_file (a file) must hold its token"
            )
            continue
        found.append(Source(name, entry["url"].rstrip("/"), token))
    if findings or not found:
        raise SourcesError(
            "\n".join(
                findings or ["no source: a table such as [CG] with url and token_env is needed"]
            )
        )
    return found


def _token(entry: dict[str, Any]) -> str | None:
    if "token_env" in entry:
        return environ.get(str(entry["token_env"])) or None
    file = Path(str(entry.get("token_file", "")))
    return (file.read_text(encoding="utf-8").strip() or None) if file.is_file() else None
