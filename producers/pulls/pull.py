"""A source's walk into the gateway's store: the submissions of a page, and the cursor behind it, in one transaction."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import httpx2
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producers.gateway.ingest import IngestService
from producers.gateway.registry import NotReadyError
from producers.gateway.sources import FieldSource, Pull
from producers.gateway.store import StoreBusyError, Transaction
from producers.mapping.submissions import Submission
from producers.outbox import OutboxBusyError, OutboxFullError
from producers.pulls.commcare import CommCareWalk
from producers.pulls.http import ToolApi
from producers.pulls.kobo import KoboWalk
from producers.pulls.odk import OdkWalk
from producers.pulls.pagination import Cursor, Page, PullError, Unreadable, Walk

PULLED_TOOLS = ("kobo", "odk", "commcare")
"""The tools that can be asked for what stands."""

TROUBLES = (PullError, NotReadyError, StoreBusyError, OutboxBusyError, OutboxFullError)
"""Why a pull may fail that the next one may do."""

_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


@dataclass
class Pulled:
    """What came of a pull."""

    source: str
    pages: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: list[tuple[Submission, str, str]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def submissions(self) -> int:
        """All that were seen, some of them more than once."""
        return self.accepted + self.repeated + len(self.refused) + len(self.unreadable)


# --- what stands in [pull] --------------------------------------------------------------------------------------------------------------------------------


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Kobo(_Options):
    asset: _Word
    form: str | None = None


class _Odk(_Options):
    project: Annotated[int, Field(ge=1)]
    user: Annotated[str, Field(min_length=1)]
    form: str | None = None


class _CommCare(_Options):
    domain: _Word
    user: Annotated[str, Field(min_length=1)]
    xmlns: str | None = None


def pull_findings(sources: Iterable[FieldSource]) -> list[str]:
    """Everything that is wrong in the `[pull]` of some sources."""
    return [
        f"{source.name}.toml: [pull]: {finding}"
        for source in sources
        if source.pull is not None
        for finding in _findings(source, source.pull)
    ]


def _findings(source: FieldSource, pull: Pull) -> Iterator[str]:
    if source.tool not in PULLED_TOOLS:
        yield f"{source.tool} cannot be pulled; only {', '.join(PULLED_TOOLS)} can: leave [pull] out"
        return
    if pull.token is None:
        yield "token_env (an environment variable) or token_file (a file) must say where the credentials are"
    options: dict[str, type[_Options]] = {"kobo": _Kobo, "odk": _Odk, "commcare": _CommCare}
    try:
        read = options[source.tool].model_validate(dict(pull.options))
    except ValidationError as error:
        yield from (
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        return
    if isinstance(read, _Odk) and not (read.form or _only_form(source)):
        yield "form: is needed where [forms] does not name exactly one"


def _only_form(source: FieldSource) -> str | None:
    named = [form for form in source.forms if form != "*"]
    return named[0] if len(source.forms) == len(named) == 1 else None


@contextmanager
def walking(source: FieldSource, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Walk]:
    """A source's walk, connected for the length of a block.

    Args:
        source: with a `[pull]`.
        sleep: waits so many seconds before a request is tried again.

    Raises:
        PullError: `[pull]` is missing or wrong.
    """
    pull = source.pull
    if pull is None:
        msg = f"{source.name}.toml has no [pull]; docs/pulls.md says what stands there"
        raise PullError(msg)
    if findings := pull_findings([source]):
        raise PullError("\n".join(findings))
    token = pull.token.get_secret_value() if pull.token is not None else ""
    walk: Walk
    api, walk = _connected(source, pull, token, sleep)
    try:
        yield walk
    finally:
        api.close()


def _connected(
    source: FieldSource, pull: Pull, token: str, sleep: Callable[[float], None]
) -> tuple[ToolApi, Walk]:
    def api(auth: httpx2.Auth | Mapping[str, str]) -> ToolApi:
        return ToolApi(source.name, pull.url, auth=auth, sleep=sleep)

    options: dict[str, Any] = dict(pull.options)
    if source.tool == "kobo":
        kobo = _Kobo.model_validate(options)
        asked = api({"Authorization": f"Token {token}"})
        return asked, KoboWalk(
            asked, asset=kobo.asset, form=kobo.form or _only_form(source) or kobo.asset
        )  # a form that was made in KoboToolbox is named by its asset
    if source.tool == "odk":
        odk = _Odk.model_validate(options)
        asked = api(httpx2.BasicAuth(odk.user, token))
        return asked, OdkWalk(asked, project=odk.project, form=odk.form or _only_form(source) or "")
    commcare = _CommCare.model_validate(options)
    asked = api({"Authorization": f"ApiKey {commcare.user}:{token}"})
    return asked, CommCareWalk(asked, domain=commcare.domain, xmlns=commcare.xmlns)


# --- the walk ---------------------------------------------------------------------------------------------------------------------------------------------


def pull(
    reception: IngestService,
    source: FieldSource,
    *,
    from_beginning: bool = False,
    tell: Callable[[Pulled], object] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pulled:
    """Take all that changed since the last pull. It may be killed at any moment; the next one goes on where it was.

    Args:
        reception: takes the pages.
        source: with a `[pull]`.
        from_beginning: take everything that can be had; what is known changes nothing.
        tell: is called after each page with what was pulled so far.
        sleep: waits so many seconds before a request is tried again.

    Raises:
        PullError: the tool does not answer, or refuses. What came before is in the store.
        NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: the gateway does not take a page; the same holds.
    """
    pulled = Pulled(source.name)
    known = None if from_beginning else reception.store.get_cursor(source.name)
    at: Cursor | None = None if known is None else orjson.loads(known)
    try:
        with walking(source, sleep=sleep) as walk:
            for _ in range(
                1 if at is None or is_whole(at) else 2
            ):  # one that was interrupted is finished first, and began long ago
                for page in walk.pages(at):
                    _take(reception, page, pulled)
                    at = page.cursor
                    tell(pulled)
    except TROUBLES as error:
        with suppress(*TROUBLES):
            reception.store.submit(
                partial(Transaction.keep_pull, source=source.name, trouble=str(error))
            ).result()
        raise
    reception.store.submit(partial(Transaction.keep_pull, source=source.name)).result()
    return pulled


def is_whole(cursor: Cursor) -> bool:
    """Whether it stands behind a whole walk, not within one."""
    return set(cursor) <= {"since"}


def _take(reception: IngestService, page: Page, pulled: Pulled) -> None:
    taken = reception.take_submissions(
        pulled.source, page.submissions, cursor=orjson.dumps(page.cursor).decode()
    )
    pulled.pages += 1
    pulled.accepted += taken.accepted
    pulled.repeated += taken.repeated
    pulled.refused += taken.refused
    pulled.unreadable += page.unreadable
