"""Configuration of the gateway's sources: a folder of TOML files, one per source.

A source is one installation of a form tool, a group of its forms, or a program that sends events.
The file's stem is the source's name, and the last segment of its hook's path. Secrets are read from
environment variables or other files.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pravah.errors import PravahError

# `events` sources send events to `/v1/events`; the others have hooks.
Tool = Literal["events", "kobo", "odk", "commcare", "rapidpro", "glific"]

# Glific's published fallback where no secret is set; it proves nothing.
GLIFIC_DUMMY_SECRET = "This is a dummy secret"  # noqa: S105

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MIN_SECRET = 16
_SIGNATURE_HEADER = "X-Glific-Signature"
_EVERY = re.compile(r"(\d+)([smhd])")
_UNIT_OF_TIME = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class FieldSourcesError(PravahError, ValueError):
    """The folder of sources is invalid; lists every finding."""


@dataclass(frozen=True)
class SenderCheck:
    """How a request proves that it comes from the source.

    Any of the secrets is accepted, so that they can be rotated without a gap.
    """

    kind: Literal["header", "hmac", "basic", "bearer"]
    secrets: tuple[SecretStr, ...]
    header: str = ""
    """Of `header` and `hmac`."""
    user: str = ""
    """Of `basic`."""
    window: timedelta = timedelta(minutes=5)
    """Of `hmac`: maximum age of a signature, and maximum distance into the future."""


class Limits(BaseModel):
    """Limits on the requests of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: str = Field(default="6000/minute", pattern=r"^\d+/(second|minute|hour|day)$")
    """Requests per time; more are answered with 429."""
    body: int = Field(default=4 * 1024 * 1024, ge=1_024, le=64 * 1024 * 1024)
    """Bytes per body; more are answered with 413."""
    depth: int = Field(default=32, ge=1, le=200)
    """Nesting of objects and arrays in JSON."""
    events: int = Field(default=1_000, ge=1, le=20_000)
    """Events per array."""


@dataclass(frozen=True)
class PullConfig:
    """The tool's API, which pulls fetch submissions from."""

    url: str
    every: timedelta
    token: SecretStr | None
    options: Mapping[str, Any]
    """The other keys of `[pull]`; `producers.pulls` validates them."""


@dataclass(frozen=True)
class FieldSource:
    """A sender: an installation of a field tool, or a program."""

    name: str
    tool: Tool
    unit: str
    """It may report for this unit and the units below it on the day of the event."""
    check: SenderCheck
    limits: Limits = field(default_factory=Limits)
    forms: Mapping[str, Path] = field(default_factory=dict)
    """The tool's name of a form → its mapping file; `*` for all other forms."""
    pull: PullConfig | None = None


class _CheckFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["header", "hmac", "basic", "bearer"]
    header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    user: str = ""
    window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    secret_env: str | list[str] = []
    secret_file: str | list[str] = []


class _SourceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tool: Tool
    unit: str = Field(default="IN", min_length=2)
    check: _CheckFile
    limits: Limits = Limits()
    forms: dict[str, str] = {}
    pull: dict[str, Any] | None = None


def read_field_sources(folder: Path) -> dict[str, FieldSource]:
    """Read every `*.toml` of a folder, sorted by name.

    Returns:
        Name → source.

    Raises:
        FieldSourcesError: with every finding of every file.
    """
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    if not files:
        msg = (
            f"{folder}: no sources; put a file NAME.toml there for each, see docs/gateway.md, "
            "or set PRAVAH_GATEWAY_SOURCES"
        )
        raise FieldSourcesError(msg)
    found: dict[str, FieldSource] = {}
    findings: list[str] = []
    for path in files:
        reader = _Reader(path)
        source = reader.source()
        findings += [f"{path.name}: {finding}" for finding in reader.findings]
        if source is not None:
            found[source.name] = source
    findings += _shared_secrets(found)
    if findings:
        raise FieldSourcesError("\n".join(findings))
    return found


def _shared_secrets(sources: Mapping[str, FieldSource]) -> list[str]:
    """Findings for sources of `/v1/events` that share a secret, which alone identifies them."""
    holders: dict[str, str] = {}
    secrets = [
        (source.name, secret.get_secret_value())
        for source in sources.values()
        if source.tool == "events"
        for secret in source.check.secrets
    ]
    return [
        f"{name}.toml: [check]: has a secret that {holders[secret]}.toml has as well; "
        "give each its own"
        for name, secret in secrets
        if holders.setdefault(secret, name) != name
    ]


class _Reader:
    """Reads one file, and collects findings."""

    def __init__(self, path: Path) -> None:
        self.path, self.findings = path, list[str]()

    def source(self) -> FieldSource | None:
        if not _NAME.fullmatch(self.path.stem):
            self.findings.append(
                "the name may have small letters, digits, - and _, and begins with a letter or "
                "digit"
            )
        try:
            text = self.path.read_text(encoding="utf-8-sig")
            read = _SourceFile.model_validate(tomllib.loads(text))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            self.findings.append(f"cannot be read: {error}")
            return None
        except ValidationError as error:
            self.findings += [
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            ]
            return None
        check = self._check(read)
        forms = self._forms(read)
        pull = self._pull(read.pull) if read.pull is not None else None
        if self.findings:
            return None
        return FieldSource(self.path.stem, read.tool, read.unit, check, read.limits, forms, pull)

    def _check(self, read: _SourceFile) -> SenderCheck:
        given = read.check
        header = given.header or (_SIGNATURE_HEADER if given.kind == "hmac" else "")
        if given.kind == "header" and not header:
            self.findings.append("[check]: header: the name of the header that carries the secret")
        if given.kind == "basic" and not given.user:
            self.findings.append("[check]: user: the name that goes with the password")
        if given.kind == "hmac" and read.tool == "events":
            self.findings.append(
                "[check]: kind: hmac is for hooks; /v1/events takes bearer, basic or header"
            )
        secrets = [self._env("check", name) for name in _as_list(given.secret_env)] + [
            self._file("check", name) for name in _as_list(given.secret_file)
        ]
        if not secrets:
            self.findings.append(
                "[check]: secret_env (environment variables) or secret_file (files) must say where "
                "its secrets are"
            )
        for secret in filter(None, secrets):
            if secret == GLIFIC_DUMMY_SECRET:
                self.findings.append(
                    "[check]: a secret is Glific's published fallback, which proves nothing; set "
                    "one of your own in Glific and here"
                )
            elif len(secret) < _MIN_SECRET:
                self.findings.append(
                    f"[check]: a secret has {len(secret)} characters, at least {_MIN_SECRET} are "
                    "needed"
                )
        return SenderCheck(
            given.kind,
            tuple(SecretStr(secret) for secret in secrets if secret),
            header,
            given.user,
            timedelta(seconds=given.window_seconds),
        )

    def _forms(self, read: _SourceFile) -> dict[str, Path]:
        if read.tool == "events" and read.forms:
            self.findings.append("[forms]: events that are ready need no mapping")
        if read.tool != "events" and not read.forms:
            self.findings.append(
                '[forms]: a form\'s name and its mapping file; "*" for all that are not named'
            )
        forms = {name: self.path.parent / file for name, file in read.forms.items()}
        self.findings += [
            f"[forms]: {name}: {file} is not there"
            for name, file in forms.items()
            if not file.is_file()
        ]
        return forms

    def _pull(self, given: dict[str, Any]) -> PullConfig:
        options = dict(given)
        url, every, env, file = (
            options.pop(name, "") for name in ("url", "every", "token_env", "token_file")
        )
        if not str(url).startswith(("http://", "https://")):
            self.findings.append("[pull]: url: http:// or https:// and the tool's address")
        length = _EVERY.fullmatch(str(every or "15m"))
        if length is None or not int(length[1]):
            self.findings.append("[pull]: every: a number and s, m, h or d, such as 15m")
        token = (
            self._env("pull", str(env)) if env else self._file("pull", str(file)) if file else None
        )
        interval = (
            timedelta(**{_UNIT_OF_TIME[length[2]]: int(length[1])}) if length else timedelta()
        )
        secret = SecretStr(token) if token else None
        return PullConfig(str(url).rstrip("/"), interval, secret, options)

    def _env(self, part: str, name: str) -> str:
        value = environ.get(name, "").strip()
        if not value:
            self.findings.append(f"[{part}]: the environment variable {name} is not set")
        return value

    def _file(self, part: str, name: str) -> str:
        try:
            value = (self.path.parent / name).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.findings.append(
                f"[{part}]: the file {name} cannot be read: {type(error).__name__}"
            )
            return ""
        if not value:
            self.findings.append(f"[{part}]: the file {name} is empty")
        return value


def _as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names
