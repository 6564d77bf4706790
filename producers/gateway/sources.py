"""Who may send to the gateway: a folder of TOML files, one a source, and each one's secrets, which stand elsewhere.

A source is one form tool's installation, one group of forms of it, or one program that sends events itself. The file's stem is its name, and the last part of its hook's path.
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

Tool = Literal["events", "kobo", "odk", "commcare", "rapidpro", "glific"]
"""`events` sends events that are ready, to `/v1/events`; the others have hooks."""

GLIFIC_DUMMY_SECRET = "This is a dummy secret"  # noqa: S105
"""What Glific signs with where nobody set a secret: it proves nothing."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MIN_SECRET = 16
_SIGNATURE_HEADER = "X-Glific-Signature"
_EVERY = re.compile(r"(\d+)([smhd])")
_UNIT_OF_TIME = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class FieldSourcesError(PravahError, ValueError):
    """A folder of sources that cannot be used, with everything found wrong in it."""


@dataclass(frozen=True)
class Check:
    """How a request proves that it comes from the source. Any of the secrets does, so that one can follow another without a gap."""

    kind: Literal["header", "hmac", "basic", "bearer"]
    secrets: tuple[SecretStr, ...]
    header: str = ""
    """Of `header` and `hmac`."""
    user: str = ""
    """Of `basic`."""
    window: timedelta = timedelta(minutes=5)
    """Of `hmac`: a signature may be so old, or lie so far ahead."""


class Limits(BaseModel):
    """What a source may send."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: str = Field(default="6000/minute", pattern=r"^\d+/(second|minute|hour|day)$")
    """Requests; more are answered with 429."""
    body: int = Field(default=4 * 1024 * 1024, ge=1_024, le=64 * 1024 * 1024)
    """Bytes of one body; no more are read."""
    depth: int = Field(default=32, ge=1, le=200)
    """Of objects and lists inside each other in JSON."""
    events: int = Field(default=1_000, ge=1, le=20_000)
    """In one array."""


@dataclass(frozen=True)
class Pull:
    """Where what the hook missed is fetched from."""

    url: str
    every: timedelta
    token: SecretStr | None
    options: Mapping[str, Any]
    """What else stands in `[pull]`, which the tool's pull checks."""


@dataclass(frozen=True)
class FieldSource:
    """One source."""

    name: str
    tool: Tool
    unit: str
    """It may report for this unit and for what lies below it on the day it occurred."""
    check: Check
    limits: Limits = field(default_factory=Limits)
    forms: Mapping[str, Path] = field(default_factory=dict)
    """The tool's name of a form → its mapping file; `*` for forms that are not named."""
    pull: Pull | None = None


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


def field_sources(folder: Path) -> dict[str, FieldSource]:
    """Read every `*.toml` of a folder, in the order of names.

    Raises:
        FieldSourcesError: with everything found wrong, file by file.
    """
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    if not files:
        msg = f"{folder}: no sources; put a file NAME.toml there for each, see docs/gateway.md, or set PRAVAH_GATEWAY_SOURCES"
        raise FieldSourcesError(msg)
    found: dict[str, FieldSource] = {}
    findings: list[str] = []
    for path in files:
        reader = _Reader(path)
        source = reader.source()
        findings += [f"{path.name}: {finding}" for finding in reader.findings]
        if source is not None:
            found[source.name] = source
    findings += _shared(found)
    if findings:
        raise FieldSourcesError("\n".join(findings))
    return found


def _shared(sources: Mapping[str, FieldSource]) -> list[str]:
    """Whoever sends to `/v1/events` is known by the secret alone, so no two may share one."""
    holders: dict[str, str] = {}
    secrets = [
        (source.name, secret.get_secret_value())
        for source in sources.values()
        if source.tool == "events"
        for secret in source.check.secrets
    ]
    return [
        f"{name}.toml: [check]: has a secret that {holders[secret]}.toml has as well; give each its own"
        for name, secret in secrets
        if holders.setdefault(secret, name) != name
    ]


class _Reader:
    """Reads one file and keeps what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path, self.findings = path, list[str]()

    def source(self) -> FieldSource | None:
        if not _NAME.fullmatch(self.path.stem):
            self.findings.append(
                "the name may have small letters, digits, - and _, and begins with a letter or digit"
            )
        try:
            read = _SourceFile.model_validate(tomllib.loads(self.path.read_text(encoding="utf-8")))
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
        return (
            None
            if self.findings
            else FieldSource(self.path.stem, read.tool, read.unit, check, read.limits, forms, pull)
        )

    def _check(self, read: _SourceFile) -> Check:
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
        secrets = [self._env("check", name) for name in _listed(given.secret_env)] + [
            self._file("check", name) for name in _listed(given.secret_file)
        ]
        if not secrets:
            self.findings.append(
                "[check]: secret_env (environment variables) or secret_file (files) must say where its secrets are"
            )
        for secret in filter(None, secrets):
            if secret == GLIFIC_DUMMY_SECRET:
                self.findings.append(
                    "[check]: a secret is Glific's published fallback, which proves nothing; set one of your own in Glific and here"
                )
            elif len(secret) < _MIN_SECRET:
                self.findings.append(
                    f"[check]: a secret has {len(secret)} characters, at least {_MIN_SECRET} are needed"
                )
        return Check(
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

    def _pull(self, given: dict[str, Any]) -> Pull:
        rest = dict(given)
        url, every, env, file = (
            rest.pop(name, "") for name in ("url", "every", "token_env", "token_file")
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
        return Pull(str(url).rstrip("/"), interval, SecretStr(token) if token else None, rest)

    def _env(self, part: str, name: str) -> str:
        value = environ.get(name, "").strip()
        if not value:
            self.findings.append(f"[{part}]: the environment variable {name} is not set")
        return value

    def _file(self, part: str, name: str) -> str:
        try:
            value = (self.path.parent / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.findings.append(
                f"[{part}]: the file {name} cannot be read: {type(error).__name__}"
            )
            return ""
        if not value:
            self.findings.append(f"[{part}]: the file {name} is empty")
        return value


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names
