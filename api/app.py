"""The AICC's interface: read-only, over HTTP, from the figures as they stand.

Every path needs a token, which says which unit's subtree and which kinds of data its holder may see. An answer comes as JSON in pages, or whole as NDJSON, CSV, Parquet or Arrow.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal, cast

import orjson
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from kafka.errors import KafkaError
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import AwareDatetime, StringConstraints
from starlette_compress import CompressMiddleware

from api import changes as feed
from api import problems
from api import query as queries
from api.clickhouse import Reader
from api.formats import CLICKHOUSE_FORMATS, MEDIA_TYPES, Format, begun, chosen
from api.report import AT_ONCE, report
from api.tokens import Tokens, require
from reports import forms
from reports.words import Tongue
from schemas.access import Scope
from schemas.days import FIRST_DAY, KOLKATA, LAST_DAY, date_of
from schemas.problems import Problem
from schemas.units import UNIT_CODE_PATTERN, Level
from settings import Settings
from sinks.connection import connect
from sinks.forecast import SHARE
from sinks.lag import Lag
from sinks.members import EXACT_UP_TO

audit = logging.getLogger("pravah.audit")

PAGE, LARGEST_PAGE = 1_000, 100_000
MOST_UNITS = 1_000
MOST_DAYS = 400

Code = Annotated[str, StringConstraints(pattern=UNIT_CODE_PATTERN)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

UnitFilter = Annotated[list[Code], Query(max_length=MOST_UNITS, description="Unit codes; the token's unit if there are none.", examples=[["CG-D-NRP"]])]
LevelFilter = Annotated[Level | None, Query(description="Rows of this level below the units, by the hierarchy of each row's day.", examples=["district"])]
MetricFilter = Annotated[list[Word], Query(max_length=200, description="Metrics; all if there are none.", examples=[["members_digital"]])]
MilestoneFilter = Annotated[list[Word], Query(max_length=200, description="Milestones; all if there are none.", examples=[["booth_groups"]])]
_FIRST, _LAST = date_of(FIRST_DAY), date_of(LAST_DAY)
_FIRST_INSTANT, _LAST_INSTANT = (datetime(day.year, day.month, day.day, tzinfo=KOLKATA) for day in (_FIRST, _LAST))
First = Annotated[date | None, Query(alias="from", ge=_FIRST, le=_LAST, description="The first day, Asia/Kolkata.", examples=["2022-06-01"])]
Last = Annotated[date | None, Query(alias="to", ge=_FIRST, le=_LAST, description="The last day, Asia/Kolkata.", examples=["2022-06-30"])]
On = Annotated[
    date | None, Query(alias="date", ge=_FIRST, le=_LAST, description="As on the evening of this day, Asia/Kolkata; now by default.", examples=["2022-06-30"])
]
Limit = Annotated[
    int | None, Query(ge=1, le=LARGEST_PAGE, description=f"Rows of a page; {PAGE:,} by default for JSON. Other formats come whole if it is not given.")
]
After = Annotated[str | None, Query(max_length=8_192, description="`next` of the page before.")]
AskedFormat = Annotated[Format | None, Query(alias="format", description="Wins over `Accept`.")]


@dataclass
class Parts:
    """What the paths work with."""

    reader: Reader
    """The AICC's account."""
    state_reader: Reader | None
    """The state's own, which may read contacts, for tokens that reach persons; None: where it is not configured nobody is told of persons."""
    settings: Settings
    reports: asyncio.Semaphore
    """One for each report that is being made."""
    tokens: Tokens
    limiter: MovingWindowRateLimiter
    rate: str


class _Metrics:
    """The service's own metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("pravah_api_requests", "Requests by path and status.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("pravah_api_request_seconds", "Until the answer was sent.", ["path"], registry=self.registry)


def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


async def _holder(request: Request, authorization: Annotated[str | None, Header()] = None) -> Scope:
    """Who asks; counted against their rate."""
    parts = _parts(request)
    scope = await parts.tokens.scope(authorization)
    request.state.holder = scope.name
    rate = parse(parts.rate)
    if not await parts.limiter.hit(rate, scope.name):
        window = await parts.limiter.get_window_stats(rate, scope.name)
        wait = max(1, int(window.reset_time - time.time()) + 1)
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {parts.rate}; wait {wait} s", headers={"Retry-After": str(wait)})
    return scope


Holder = Annotated[Scope, Depends(_holder)]
router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get("/rollups")
async def rollups(  # noqa: PLR0913 - its filters
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006 - FastAPI copies it
    level: LevelFilter = None,
    metric: MetricFilter = [],  # noqa: B006
    first: First = None,
    last: Last = None,
    grain: Annotated[queries.Grain, Query(description="A week is named by its Monday, a month by its first day.")] = "day",
    boundaries: Annotated[queries.Boundaries, Query(description="Who stands above whom: on the figure's day, or today.")] = "then",
    as_of: Annotated[
        AwareDatetime | None, Query(ge=_FIRST_INSTANT, le=_LAST_INSTANT, description="As it was known at the end of the hour before this instant.")
    ] = None,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Figures by day, week or month, or to date: a flow's amount, a stock's value at the end."""
    require(holder, "figures")
    if as_of is not None and boundaries == "now":
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "as_of: what was known then is kept with the boundaries of then; leave out `boundaries`")
    if first and last and last < first:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"to: {last} lies before {first}")
    selection = await _selected(request, holder, unit, level, metric, first, last)
    return await _answer(request, queries.rollups(selection, grain=grain, boundaries=boundaries, as_of=as_of), limit, cursor, asked)


@router.get("/dataValueSets", response_class=StreamingResponse)
async def data_value_sets(
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    metric: MetricFilter = [],  # noqa: B006
    first: First = None,
    last: Last = None,
    grain: Annotated[Literal["day", "week", "month"], Query(description="DHIS2's daily, weekly or monthly periods.")] = "month",
) -> Response:
    """The same figures for DHIS2's `dataValueSets` import, with `dataElementIdScheme=CODE&orgUnitIdScheme=CODE`: data elements are named as metrics are, and `…_verified`."""
    require(holder, "figures")
    selection = await _selected(request, holder, unit, level, metric, first, last)
    query = queries.data_values(queries.rollups(selection, grain=grain), grain).behind(None)
    reader = _parts(request).reader
    rows = await begun(reader.stream(f"{query.sql} SETTINGS output_format_json_array_of_rows = 1", query.parameters, "JSONEachRow"))

    async def whole() -> AsyncIterator[bytes]:
        yield b'{"dataValues":'
        async for piece in rows:
            yield piece
        yield b"}"

    return StreamingResponse(whole(), media_type=MEDIA_TYPES["json"])


@router.get("/totals")
async def totals(
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    metric: MetricFilter = [],  # noqa: B006
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Flows to date and stocks now."""
    require(holder, "figures")
    return await _answer(request, queries.totals(await _selected(request, holder, unit, level, metric)), limit, cursor, asked)


@router.get("/changes")
async def changes(
    request: Request,
    holder: Holder,
    *,
    level: LevelFilter = None,
    metric: MetricFilter = [],  # noqa: B006
    cursor: Annotated[str | None, Query(max_length=16_384, description="`next` of the answer before; without it, everything.")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 10_000,
    asked: AskedFormat = None,
) -> Response:
    """Every figure that changed since a cursor, once, in order. `deleted` = 1: the row is gone, drop yours.

    `next` (or the header `Pravah-Next`) is the cursor of the next page or, when `more` (`Pravah-More`) is false, of what changes from now on.
    """
    require(holder, "figures")
    reader = _parts(request).reader
    at = await feed.begin(reader, feed.Cursor.from_text(cursor) if cursor else None)
    selection = await _selected(request, holder, [], level, metric, everything=level is None)
    query = feed.changes(at, selection).page(limit + 1, at.after)
    rows = await reader.rows(f"SELECT {', '.join(query.columns)} FROM ({query.sql})", query.parameters)
    more, rows = len(rows) > limit, rows[:limit]
    last = [str(rows[-1][feed.COLUMNS.index(name)]) for name in feed.SORTED_BY] if more else None
    following = feed.following(at, last).text()
    headers = {"Pravah-Next": following, "Pravah-More": str(more).lower()}
    output = chosen(asked, request.headers.get("accept", ""), MEDIA_TYPES)
    named = [dict(zip(query.columns, row, strict=True)) for row in rows]
    if output == "json":
        return Response(orjson.dumps({"data": named, "next": following, "more": more}), headers=headers, media_type=MEDIA_TYPES["json"])
    if output == "ndjson":
        return Response(b"".join(orjson.dumps(row) + b"\n" for row in named), headers=headers, media_type=MEDIA_TYPES["ndjson"])
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, "changes come as JSON or NDJSON")


@router.get("/plan")
async def plan(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    milestone: MilestoneFilter = [],  # noqa: B006
    on: On = None,
    detail: Annotated[bool, Query(description="Each unit's status instead of how many units are how far.")] = False,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """How far units are with each milestone; `done_on_time`, `done_late`, `overdue` and `due` add up to `expected`."""
    require(holder, "plan")
    selection = await _selected(request, holder, unit, level, [])
    build = queries.plan_status if detail else queries.plan_progress
    return await _answer(request, build(selection, _evening(on), tuple(milestone)), limit, cursor, asked)


@router.get("/defaulters")
async def defaulters(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    milestone: MilestoneFilter = [],  # noqa: B006
    on: On = None,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Who is overdue, since when, what waits for it, and when it last reported. Whom to call only for tokens that reach persons."""
    require(holder, "plan")
    selection = await _selected(request, holder, unit, level, [])
    by = _parts(request).state_reader if "persons" in holder.kinds else None
    query = queries.defaulters(selection, _evening(on), tuple(milestone), persons=by is not None)
    return await _answer(request, query, limit, cursor, asked, by=by)


@router.get("/completeness")
async def completeness(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    first: First = None,
    last: Last = None,
    reporting_level: Annotated[Level, Query(description="The units that are to report.")] = "booth",
    days: Annotated[int, Query(ge=0, le=365, description="In time is what arrived by the end of so many days after the day.")] = 1,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Reporting rates as DHIS2 has them: of the units that were open on each day, how many reported anything for it, and how many in time. The last seven days by default."""
    require(holder, "figures")
    last = last or datetime.now(KOLKATA).date()
    first = first or max(last - timedelta(days=6), _FIRST)
    _check_span(first, last)
    selection = await _selected(request, holder, unit, level, [], first, last)
    return await _answer(request, queries.completeness(selection, reporting_level=reporting_level, days=days), limit, cursor, asked)


@router.get("/forecast")
async def forecast(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    milestone: MilestoneFilter = [],  # noqa: B006
    on: On = None,
    share: Annotated[float, Query(ge=0.01, le=1, description="Of the units: the day by which so many will have it.")] = SHARE,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """By which day a share of the units will have each milestone at the pace of the last week, with a band of about four in five.

    `outlook` says whether that can be told: `reached`, `forecast`, `not_in_sight` (not within a year), `too_little` (fewer than five units in the last week).
    """
    require(holder, "plan")
    selection = await _selected(request, holder, unit, level, [])
    return await _answer(request, queries.forecast(selection, _evening(on), tuple(milestone), share=share), limit, cursor, asked)


@router.get("/unusual")
async def unusual(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    metric: MetricFilter = [],  # noqa: B006
    first: First = None,
    last: Last = None,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Reported values that stand out by 3.5 robust standard deviations or more from the unit's own past or from its peers: they count, and want a look. Today's by default."""
    require(holder, "figures")
    last = last or datetime.now(KOLKATA).date()
    first = first or last
    _check_span(first, last)
    return await _answer(request, queries.unusual(await _selected(request, holder, unit, level, metric, first, last)), limit, cursor, asked)


@router.get("/members")
async def members(  # noqa: PLR0913
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    on: On = None,
    exact_up_to: Annotated[int, Query(ge=0, le=10_000_000, description="Above so many keys below a unit, `persons` is approximate.")] = EXACT_UP_TO,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Members as reported, verified, and as different persons, side by side. `method` says whether `persons` is exact."""
    require(holder, "figures")
    selection = await _selected(request, holder, unit, level, [])
    return await _answer(request, queries.members(selection, _evening(on), exact_up_to=exact_up_to), limit, cursor, asked)


@router.get("/members/twice")
async def members_twice(
    request: Request,
    holder: Holder,
    *,
    unit: Annotated[Code | None, Query(description="Reported more than once at or below it; the token's unit if there is none.", examples=["CG-D-NRP"])] = None,
    on: On = None,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """Keyed hashes that stand in more than one membership, and the units that reported them."""
    require(holder, "figures")
    selection = await _selected(request, holder, [unit] if unit else [], None, [])
    return await _answer(request, queries.named_twice(selection, _evening(on)), limit, cursor, asked)


@router.get("/units")
async def units(
    request: Request,
    holder: Holder,
    *,
    unit: UnitFilter = [],  # noqa: B006
    level: LevelFilter = None,
    limit: Limit = None,
    cursor: After = None,
    asked: AskedFormat = None,
) -> Response:
    """The units that are or ever were at or below the chosen ones."""
    require(holder, "registry")
    return await _answer(request, queries.units(await _selected(request, holder, unit, level, [])), limit, cursor, asked)


@router.get("/metrics")
async def metrics(request: Request, holder: Holder, limit: Limit = None, cursor: After = None, asked: AskedFormat = None) -> Response:
    """The metric dictionary."""
    require(holder, "registry")
    return await _answer(request, queries.metrics(), limit, cursor, asked)


@router.get("/freshness")
async def freshness(request: Request, holder: Holder) -> Response:
    """How current and how well proved the figures are: per state, and of the whole deployment. For tokens of a state or of the nation.

    `median_delay_seconds` from occurrence to arrival, and `rejected` by reason, are of what arrived in the last seven days; `tools` of all. `records_behind` is how much of the log is not in the figures yet; null: Kafka
    does not answer.
    """
    require(holder, "figures")
    reader = _parts(request).reader
    if len(holder.unit) > len("CG"):
        raise Problem(HTTPStatus.FORBIDDEN, "freshness is of whole states; this token's unit lies below one")
    own = "" if holder.unit == "IN" else "WHERE state = {unit:String}"
    states = await reader.rows(f"SELECT * FROM ({_STATES}) {own} ORDER BY state", {"unit": holder.unit})
    names = ("state", "last_occurred_at", "last_appended_at", "median_delay_seconds", "events", "tools", "rejected")
    behind = await asyncio.to_thread(_behind, _parts(request).settings)
    deployment = await reader.rows("SELECT max(last_appended_at), max(updated_at), sum(records), sum(rejected), sum(duplicates) FROM chunks FINAL")
    reconciled = await reader.rows("SELECT at, records, figures, different, repair FROM reconciliations ORDER BY at DESC LIMIT 1")
    last_appended, updated, records, rejected, duplicates = deployment[0]
    body = {
        "states": [dict(zip(names, row, strict=True)) for row in states],
        "deployment": {
            "newest_record_appended_at": last_appended,
            "figures_updated_at": updated,
            "records_behind": behind,
            "records": records,
            "rejected": rejected,
            "duplicates": duplicates,
        },
        "reconciled": dict(zip(("at", "records", "figures", "different", "repair"), reconciled[0], strict=True)) if reconciled else None,
        "at": datetime.now(KOLKATA).isoformat(timespec="seconds"),
    }
    return Response(orjson.dumps(body), media_type=MEDIA_TYPES["json"])


_STATES = """
    SELECT state, last_occurred_at, last_appended_at, delay, events, tools, rejected
    FROM (
        SELECT splitByChar('-', key)[1] AS state, max(occurred_at) AS last_occurred_at, max(appended_at) AS last_appended_at, count() AS events, sumMap(map(tool, 1)) AS tools,
               medianOrNullIf(dateDiff('second', occurred_at, appended_at), appended_at > now() - INTERVAL 7 DAY) AS delay
        FROM ledger GROUP BY state
    ) AS l
    LEFT JOIN (SELECT state, sumMap(map(reason, 1)) AS rejected FROM rejections WHERE appended_at > now() - INTERVAL 7 DAY GROUP BY state) AS r ON r.state = l.state
"""


def _behind(settings: Settings) -> int | None:
    try:
        with connect(settings.clickhouse, "aicc") as client, Lag(settings.kafka, client) as lag:
            return lag.position().behind
    except KafkaError:
        return None


@router.get(
    "/report",
    response_class=Response,
    responses={
        200: {"description": "The report.", "content": {media_type.partition(";")[0]: {} for media_type in forms.MEDIA_TYPES.values()}},
        501: {"description": "PDF and PNG cannot be made on this server."},
    },
)
async def situation_report(
    request: Request,
    holder: Holder,
    *,
    unit: Annotated[Code | None, Query(description="A unit's code; the token's unit if there is none.", examples=["CG-D-NRP"])] = None,
    on: On = None,
    lang: Annotated[Tongue, Query(description="Hindi, English, or both side by side; JSON and XLSX have both always.", examples=["hi"])] = "both",
    asked: Annotated[forms.Form | None, Query(alias="format", description="Wins over `Accept`.", examples=["pdf"])] = None,
) -> Response:
    """The situation report: one page on where a unit's programme stands, what changed, who is ahead and who behind, who is overdue, and how current the figures are.

    As HTML for a phone, PDF, PNG (a card to forward), XLSX, or JSON. It says whom to call only for tokens that reach persons.
    """
    require(holder, "figures")
    require(holder, "plan")
    parts = _parts(request)
    await _selected(request, holder, [unit] if unit else [], None, [])
    form = chosen(asked, request.headers.get("accept", ""), forms.MEDIA_TYPES)
    persons = "persons" in holder.kinds and parts.state_reader is not None
    headers = {"Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"}
    if not persons:  # contacts have no version that a tag could name
        proved = await parts.reader.rows("SELECT max(at) FROM reconciliations")
        headers["ETag"] = await _tag(parts.reader, request, f"{form} {proved}")
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    async with parts.reports:
        content = await report(parts.settings, holder, unit or holder.unit, on, form, lang, persons=persons)
    return Response(content, headers=headers, media_type=forms.MEDIA_TYPES[form])


def _check_span(first: date, last: date) -> None:
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"from, to: from 1 to {MOST_DAYS} days can be asked for at once")


def _evening(day: date | None) -> datetime:
    now = datetime.now(KOLKATA)
    return now if day is None else datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=KOLKATA)


async def _selected(
    request: Request,
    holder: Scope,
    units: list[str],
    level: Level | None,
    metrics: list[str],
    first: date | None = None,
    last: date | None = None,
    *,
    everything: bool = False,
) -> queries.Selection:
    """What is asked for, within what may be seen.

    Raises:
        Problem: 404, a unit or metric that is not known; 403, a unit that never was at or below the token's.
    """
    reader = _parts(request).reader
    if units:
        rows = await reader.rows(
            """
            SELECT unit, unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = {scope:String}) FROM units WHERE unit IN {units:Array(String)}
            """,
            {"units": units, "scope": holder.unit},
        )
        known = {row[0]: row[1] for row in rows}
        allowed = holder.unit == "IN"
        # whether a unit exists outside one's own is not told either
        wrong = [unit for unit in units if unit not in known or not (allowed or known[unit])]
        if wrong and allowed:
            raise Problem(HTTPStatus.NOT_FOUND, f"unit: {', '.join(wrong[:5])} not in the registry")
        if wrong:
            raise Problem(HTTPStatus.FORBIDDEN, f"unit: {', '.join(wrong[:5])} not at or below {holder.unit}")
    if metrics:
        rows = await reader.rows("SELECT metric FROM metrics WHERE metric IN {metrics:Array(String)}", {"metrics": metrics})
        unknown = sorted(set(metrics) - {row[0] for row in rows})
        if unknown:
            raise Problem(HTTPStatus.NOT_FOUND, f"metric: {', '.join(unknown[:5])} not in the metric dictionary; `/v1/metrics` lists it")
    return queries.Selection(holder.unit, tuple(units), level, tuple(metrics), first, last, everything)


async def _answer(request: Request, query: queries.Query, limit: int | None, cursor: str | None, asked: Format | None, *, by: Reader | None = None) -> Response:
    """Send the rows of a query: JSON in pages, other formats whole or as one page; asked by the AICC's account or another."""
    reader = by or _parts(request).reader
    output = chosen(asked, request.headers.get("accept", ""), MEDIA_TYPES)
    # contacts have no version that a tag could name
    tag = "" if by else await _tag(reader, request, output)
    if tag and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    after = queries.cursor_values(cursor, len(query.sorted_by)) if cursor else None
    headers = {**({"ETag": tag} if tag else {}), "Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"}
    columns = ", ".join(query.columns)
    if output != "json":
        part = query.page(limit, after) if limit else query.behind(after)
        pieces = await begun(reader.stream(f"SELECT {columns} FROM ({part.sql})", part.parameters, CLICKHOUSE_FORMATS[output]))
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[output])
    limit = limit or PAGE
    page = query.page(limit + 1, after)
    rows = await reader.rows(f"SELECT {columns} FROM ({page.sql})", page.parameters)
    more, rows = len(rows) > limit, rows[:limit]
    following = queries.cursor_text([str(rows[-1][query.columns.index(name)]) for name in query.sorted_by]) if more else None
    body = {"data": [dict(zip(query.columns, row, strict=True)) for row in rows], "next": following}
    return Response(orjson.dumps(body), headers=headers, media_type=MEDIA_TYPES["json"])


async def _tag(reader: Reader, request: Request, output: str) -> str:
    """An entity tag: another one as soon as any figure, the plan or the registry may be another, and with every day."""
    at = await feed.position(reader)
    rest = await reader.rows("SELECT (SELECT max(loaded_at) FROM plans), (SELECT arraySort(groupArray((name, value))) FROM deployment FINAL), today()")
    state = f"{at.model_dump_json()} {rest} {request.url.path}?{request.url.query} {output} {request.state.holder}"
    return f'W/"{hashlib.blake2b(state.encode(), digest_size=12).hexdigest()}"'


def build(settings: Settings) -> FastAPI:
    """The application."""
    own = _Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        reader = Reader(settings.clickhouse)
        state_reader = Reader(settings.clickhouse, "grafana") if "grafana" in settings.clickhouse.users else None
        limiter = MovingWindowRateLimiter(MemoryStorage())
        app.state.parts = Parts(reader, state_reader, settings, asyncio.Semaphore(AT_ONCE), Tokens(reader), limiter, settings.api_rate)
        yield
        await reader.close()
        if state_reader is not None:
            await state_reader.close()

    app = FastAPI(
        title="Pravah",
        version="1",
        description="Rolled-up figures of a party's units, from the booth to national headquarters: exact, current, explained.",
        lifespan=lifespan,
    )
    app.add_middleware(CompressMiddleware)
    problems.install(app)
    app.include_router(router)

    @app.middleware("http")
    async def _told(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """One line of the audit log for each pull, and the metrics. Never a token."""
        began = time.monotonic()
        request.state.holder = None
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # what is answered if the call raises
        try:
            response = await call(request)
            status = response.status_code
            return response
        finally:
            seconds = time.monotonic() - began
            path = getattr(request.scope.get("route"), "path", "(none)")
            own.requests.labels(path, status).inc()
            own.seconds.labels(path).observe(seconds)
            if path.startswith("/v1/"):
                line = {"at": datetime.now(KOLKATA).isoformat(), "holder": request.state.holder, "path": request.url.path, "query": request.url.query}
                audit.info(orjson.dumps({**line, "status": status, "seconds": round(seconds, 3)}).decode())

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        await _parts(request).reader.rows("SELECT 1")
        return JSONResponse({"ready": True})

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(own.registry), media_type="text/plain; version=0.0.4")

    return app
