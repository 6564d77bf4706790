"""The options of `[pull]` in a source's file, per tool: validation, and the paginator they give."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producers.gateway.sources import FieldSource, PullConfig
from producers.pulls.commcare import CommCarePaginator
from producers.pulls.http import ToolApi
from producers.pulls.kobo import KoboPaginator
from producers.pulls.odk import OdkPaginator
from producers.pulls.pagination import Paginator, PullError

# Tools whose API has the current state of every submission.
PULLED_TOOLS = ("kobo", "odk", "commcare")

_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _KoboOptions(_Options):
    asset: _Identifier
    form: str | None = None


class _OdkOptions(_Options):
    project: Annotated[int, Field(ge=1)]
    user: Annotated[str, Field(min_length=1)]
    form: str | None = None


class _CommCareOptions(_Options):
    domain: _Identifier
    user: Annotated[str, Field(min_length=1)]
    xmlns: str | None = None


_OPTIONS: dict[str, type[_Options]] = {
    "kobo": _KoboOptions,
    "odk": _OdkOptions,
    "commcare": _CommCareOptions,
}


def find_config_errors(sources: Iterable[FieldSource]) -> list[str]:
    """Every error in the `[pull]` of some sources."""
    return [
        f"{source.name}.toml: [pull]: {finding}"
        for source in sources
        if source.pull is not None
        for finding in _findings(source, source.pull)
    ]


def _findings(source: FieldSource, config: PullConfig) -> Iterator[str]:
    if source.tool not in PULLED_TOOLS:
        yield (
            f"{source.tool} cannot be pulled; only {', '.join(PULLED_TOOLS)} can: leave [pull] out"
        )
        return
    if config.token is None:
        yield (
            "token_env (an environment variable) or token_file (a file) must say where the "
            "credentials are"
        )
    try:
        options = _OPTIONS[source.tool].model_validate(dict(config.options))
    except ValidationError as error:
        yield from (
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        return
    if isinstance(options, _OdkOptions) and not (options.form or _only_form(source)):
        yield "form: is needed where [forms] does not name exactly one"


def _only_form(source: FieldSource) -> str | None:
    named = [form for form in source.forms if form != "*"]
    return named[0] if len(source.forms) == len(named) == 1 else None


@contextmanager
def open_paginator(
    source: FieldSource, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Paginator]:
    """Open a source's paginator, connected for the length of a block.

    Args:
        source: with a `[pull]`.
        sleep: waits the given seconds before a request is tried again.

    Raises:
        PullError: `[pull]` is missing or invalid.
    """
    config = source.pull
    if config is None:
        msg = f"{source.name}.toml has no [pull]; docs/pulls.md says what stands there"
        raise PullError(msg)
    if findings := find_config_errors([source]):
        raise PullError("\n".join(findings))
    token = config.token.get_secret_value() if config.token is not None else ""
    options = _OPTIONS[source.tool].model_validate(dict(config.options))
    api = ToolApi(source.name, config.url, auth=_auth(options, token), sleep=sleep)
    try:
        yield _paginator(api, source, options)
    finally:
        api.close()


def _auth(options: _Options, token: str) -> httpx2.Auth | Mapping[str, str]:
    if isinstance(options, _OdkOptions):
        return httpx2.BasicAuth(options.user, token)
    if isinstance(options, _CommCareOptions):
        return {"Authorization": f"ApiKey {options.user}:{token}"}
    return {"Authorization": f"Token {token}"}


def _paginator(api: ToolApi, source: FieldSource, options: _Options) -> Paginator:
    if isinstance(options, _KoboOptions):
        # a form that was made in KoboToolbox has the name of its asset
        form = options.form or _only_form(source) or options.asset
        return KoboPaginator(api, asset=options.asset, form=form)
    if isinstance(options, _OdkOptions):
        form = options.form or _only_form(source) or ""
        return OdkPaginator(api, project=options.project, form=form)
    if isinstance(options, _CommCareOptions):
        return CommCarePaginator(api, domain=options.domain, xmlns=options.xmlns)
    msg = f"{source.tool} cannot be pulled"
    raise AssertionError(msg)
