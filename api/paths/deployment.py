"""Route for the deployment: how current the figures are, and when they were reconciled."""

import asyncio
from datetime import datetime
from http import HTTPStatus

import orjson
from fastapi import APIRouter, Request, Response
from kafka.errors import KafkaError

from api import problems
from api.formats import MEDIA_TYPES
from api.params import Names
from api.responses import Holder, app_state
from api.tokens import require
from pravah.days import KOLKATA
from pravah.problems import Problem
from pravah.settings import Settings
from sinks.connection import connect
from sinks.lag import Lag

router = APIRouter(prefix="/v1", tags=["deployment"], responses=problems.RESPONSES)


@router.get("/freshness")
async def freshness(request: Request, holder: Holder, *, names: Names = False) -> Response:
    """How current the figures are, per state and for the deployment, and the last reconciliation.

    For tokens of a state or of the nation. `median_delay_seconds` (from occurrence to arrival) and
    `rejected` (by reason) cover records of the last seven days, `tools` covers all records.
    `records_behind` counts the log's records that are not in the figures yet; it is null if Kafka
    does not answer.
    """
    require(holder, "figures")
    reader = app_state(request).reader
    if len(holder.unit) > len("CG"):
        raise Problem(
            HTTPStatus.FORBIDDEN, "freshness is of whole states; this token's unit lies below one"
        )
    condition = "" if holder.unit == "IN" else "WHERE state = {unit:String}"
    source = f"({_STATES})"
    if names:
        source = f"""(
            SELECT s.*, u.name_en AS state_name_en, u.name_hi AS state_name_hi
            FROM {source} AS s LEFT JOIN units AS u ON u.unit = s.state
        )"""
    columns = (
        "state",
        "last_occurred_at",
        "last_appended_at",
        "median_delay_seconds",
        "events",
        "tools",
        "rejected",
        *(("state_name_en", "state_name_hi") if names else ()),
    )
    states = await reader.rows(
        f"SELECT {', '.join(columns)} FROM {source} {condition} ORDER BY state",
        {"unit": holder.unit},
    )
    behind = await asyncio.to_thread(_count_behind, app_state(request).settings)
    deployment = await reader.rows(
        """
        SELECT
            max(last_appended_at), max(updated_at), sum(records), sum(rejected), sum(duplicates)
        FROM chunks FINAL
        """
    )
    reconciled = await reader.rows(
        """
        SELECT at, records, figures, different, repair
        FROM reconciliations
        ORDER BY at DESC
        LIMIT 1
        """
    )
    last_appended, updated, records, rejected, duplicates = deployment[0]
    body = {
        "states": [dict(zip(columns, row, strict=True)) for row in states],
        "deployment": {
            "newest_record_appended_at": last_appended,
            "figures_updated_at": updated,
            "records_behind": behind,
            "records": records,
            "rejected": rejected,
            "duplicates": duplicates,
        },
        "reconciled": (
            dict(
                zip(("at", "records", "figures", "different", "repair"), reconciled[0], strict=True)
            )
            if reconciled
            else None
        ),
        "at": datetime.now(KOLKATA).isoformat(timespec="seconds"),
    }
    return Response(orjson.dumps(body), media_type=MEDIA_TYPES["json"])


_STATES = """
    SELECT
        state, last_occurred_at, last_appended_at, median_delay_seconds, events, tools, rejected
    FROM (
        SELECT
            splitByChar('-', key)[1] AS state, max(occurred_at) AS last_occurred_at,
            max(appended_at) AS last_appended_at, count() AS events, sumMap(map(tool, 1)) AS tools,
            medianOrNullIf(
                dateDiff('second', occurred_at, appended_at), appended_at > now() - INTERVAL 7 DAY
            ) AS median_delay_seconds
        FROM ledger GROUP BY state
    ) AS l
    LEFT JOIN (
        SELECT state, sumMap(map(reason, 1)) AS rejected
        FROM rejections
        WHERE appended_at > now() - INTERVAL 7 DAY
        GROUP BY state
    ) AS r ON r.state = l.state
"""


# Short, since a broker that is down is a likely reason to ask how current the figures are.
_KAFKA_TIMEOUT_SECONDS = 2.0


def _count_behind(settings: Settings) -> int | None:
    try:
        with (
            connect(settings.clickhouse, "aicc") as client,
            Lag(settings.kafka, client, connect_seconds=_KAFKA_TIMEOUT_SECONDS) as lag,
        ):
            return lag.position().behind
    except KafkaError:
        return None
