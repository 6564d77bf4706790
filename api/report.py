"""The situation report for the API: read and rendered in a thread, since both drivers and renderers block."""

import asyncio
from datetime import date
from http import HTTPStatus

from pravah.problems import Problem
from pravah.settings import Settings
from reports.formats import Form, rendered
from reports.labels import Tongue
from reports.pdf import MissingLibraryError
from schemas.access import Scope
from sinks.connection import connect, first_line, is_retryable

AT_ONCE = 2
"""So many reports are made at once; others wait, so that figures are still answered."""


async def report(
    settings: Settings,
    holder: Scope,
    unit: str,
    day: date | None,
    form: Form,
    tongue: Tongue,
    *,
    persons: bool,
) -> bytes:
    """The report of a unit, from what lies at or below the holder's unit on that day.

    Args:
        settings: where ClickHouse is.
        holder: who asks.
        unit: a code that is known to be in the registry.
        day: Asia/Kolkata; today if None.
        form: of the answer.
        tongue: Hindi, English or both.
        persons: say whom to call, by the state's own account.

    Raises:
        Problem: 403, on that day the unit does not stand at or below the holder's; 422, the day lies in the future; 501, a system library is missing; 503, ClickHouse does not answer.
    """
    within = unit if holder.unit == "IN" else holder.unit
    return await asyncio.to_thread(
        _made, settings, within, unit, day, form, tongue, persons=persons
    )


def _made(
    settings: Settings,
    within: str,
    unit: str,
    day: date | None,
    form: Form,
    tongue: Tongue,
    *,
    persons: bool,
) -> bytes:
    from reports.facts import FutureDayError, OutOfScopeError, read_situation

    try:
        with connect(settings.clickhouse, "grafana" if persons else "aicc") as client:
            situation = read_situation(client, unit, day, within=within, contacts=persons)
        return rendered(situation, form, tongue)
    except OutOfScopeError as error:
        raise Problem(HTTPStatus.FORBIDDEN, f"unit: {error}") from error
    except FutureDayError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"date: {error}") from error
    except MissingLibraryError as error:
        raise Problem(
            HTTPStatus.NOT_IMPLEMENTED,
            "this server cannot make PDF or PNG: system libraries are missing; html, xlsx and json"
            " can be had",
        ) from error
    except Exception as error:
        if is_retryable(error):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the database does not answer ({first_line(error)}); try again",
                headers={"Retry-After": "5"},
            ) from error
        raise
