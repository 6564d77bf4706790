"""The situation report for the API, made in a thread because drivers and renderers block."""

import asyncio
from datetime import date
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from api.problems import parameter_problem, unavailable_problem
from pravah.languages import Lang, Language
from pravah.problems import Problem
from pravah.settings import Role, Settings
from reports.formats import Format, render
from reports.pdf import MissingLibraryError
from schemas.access import Scope
from sinks.connection import connect, first_line, is_retryable

# Further requests for reports wait, so that requests for figures are still served.
MAX_CONCURRENT_REPORTS = 2


async def make_report(
    settings: Settings,
    holder: Scope,
    unit: str,
    day: date | None,
    format_: Format,
    lang: Lang,
    *,
    persons: bool,
) -> bytes:
    """Make a unit's report from what is at or below the holder's unit on that day.

    Args:
        settings: where ClickHouse is.
        holder: scope of the request's token.
        unit: a code in the registry.
        day: Asia/Kolkata; today if None.
        format_: of the report.
        lang: Hindi, English or both.
        persons: include whom to call, read by the state's own account.

    Raises:
        Problem: 403, the unit is not at or below the holder's on that day; 400, the day lies in
            the future; 501, a system library is missing; 503, ClickHouse does not answer.
    """
    within = None if holder.unit == "IN" else holder.unit
    return await asyncio.to_thread(
        _read_and_render, settings, within, unit, day, format_, lang, persons=persons
    )


def _address(day: date | None, unit: str, lang: Language) -> str:
    """Address of the report of a unit, relative to that of another."""
    on = {} if day is None else {"date": day.isoformat()}
    return "?" + urlencode({"unit": unit, **on, "lang": lang, "format": "html"})


def _read_and_render(
    settings: Settings,
    within: str | None,
    unit: str,
    day: date | None,
    format_: Format,
    lang: Lang,
    *,
    persons: bool,
) -> bytes:
    from reports.facts import FutureDayError, OutOfScopeError, read_situation

    try:
        role: Role = "grafana" if persons else "aicc"
        with (
            connect(settings.clickhouse, role) as client,
            connect(settings.clickhouse, role) as second,
        ):
            situation = read_situation(
                client, unit, day, within=within, contacts=persons, second=second
            )
        return render(situation, format_, lang, partial(_address, day))
    except OutOfScopeError as error:
        raise Problem(HTTPStatus.FORBIDDEN, f"unit: {error}") from error
    except FutureDayError as error:
        raise parameter_problem({"date": str(error)}) from error
    except MissingLibraryError as error:
        raise Problem(
            HTTPStatus.NOT_IMPLEMENTED,
            "this server cannot make PDF or PNG: system libraries are missing; html, xlsx and json"
            " are available",
        ) from error
    except Exception as error:
        if is_retryable(error):
            raise unavailable_problem(first_line(error)) from error
        raise
