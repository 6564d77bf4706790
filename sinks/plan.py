"""Plans in ClickHouse: load one, and list the deadlines that earlier loads had."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from clickhouse_driver import Client

from schemas.plan import Condition, Plan
from sinks.migrate import Schema
from sinks.migrations.m0006_plan import COPIED

_COLUMNS = (
    "plan, author, reason, fingerprint, position, milestone, level, name_en, name_hi, deadline, "
    "responsible, responsible_hi, prerequisites, waits_for, needs"
)
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class MovedDeadline:
    """A milestone's deadline in one load of a plan that differs from the load before."""

    plan: str
    milestone: str
    deadline: date | None
    """None for a milestone that was removed."""
    before: date | None
    """None for a milestone that is new."""
    loaded_at: datetime
    """Asia/Kolkata."""
    author: str
    reason: str


def loaded_fingerprint(client: Client, state: str) -> str | None:
    """Fingerprint of the plan in force in a state; None if none was ever loaded."""
    rows = client.execute(
        "SELECT argMax(fingerprint, loaded_at) FROM plans WHERE plan = %(plan)s HAVING count() > 0",
        {"plan": state},
    )
    return str(rows[0][0]) if rows else None


def loaded_by(client: Client, state: str) -> str | None:
    """Author of the plan in force in a state; None if none was ever loaded."""
    rows = client.execute(
        "SELECT argMax(author, loaded_at) FROM plans WHERE plan = %(plan)s HAVING count() > 0",
        {"plan": state},
    )
    return str(rows[0][0]) if rows else None


def loaded_deadlines(client: Client, state: str) -> dict[str, date]:
    """Milestone → deadline of the plan in force in a state."""
    return dict(
        client.execute(
            "SELECT milestone, deadline FROM milestones WHERE plan = %(plan)s", {"plan": state}
        )
    )


def load_plan(client: Client, schema: Schema, plan: Plan, *, author: str, reason: str) -> bool:
    """Put a plan in force for its state.

    The one before stays in the history; figures of any day follow the new one at once.

    Args:
        client: the writer's.
        schema: database and cluster.
        plan: a checked plan.
        author: for the history.
        reason: for the history.

    Returns:
        False if the same plan is in force already.
    """
    fingerprint = plan.fingerprint()
    if loaded_fingerprint(client, plan.state) == fingerprint:
        return False
    _feed(
        client,
        schema,
        {condition.kind for milestone in plan.milestones for condition in milestone.needs},
    )
    rows = [
        (
            *(
                plan.state,
                author,
                reason,
                fingerprint,
                position,
                m.milestone,
                m.level,
                m.name_en,
                m.name_hi,
                m.deadline,
                m.responsible,
                m.responsible_hi,
            ),
            *(list(m.prerequisites), sorted(plan.all_prerequisites(m.milestone))),
            [_need(condition) for condition in m.needs],
        )
        for position, m in enumerate(plan.milestones)
    ]
    while not _insert_load(client, plan.state, rows):
        pass
    return True


def _insert_load(client: Client, state: str, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Insert a load later than any before; False if another load has the same time."""
    # Also if the server's clock was set back.
    ((loaded_at, micros),) = client.execute(
        """
        SELECT
            toTimeZone(
                greatest(now64(6), max(loaded_at) + toIntervalMicrosecond(1)), 'Asia/Kolkata'
            ) AS at,
            toUnixTimestamp64Micro(at)
        FROM plans
        WHERE plan = %(plan)s
        """,
        {"plan": state},
    )
    client.execute(
        f"INSERT INTO plans ({_COLUMNS}, loaded_at) VALUES", [(*row, loaded_at) for row in rows]
    )
    ((loads,),) = client.execute(
        "SELECT count() FROM plans "
        "WHERE plan = %(plan)s AND toUnixTimestamp64Micro(loaded_at) = %(micros)s",
        {"plan": state, "micros": micros},
    )
    return int(loads) == len(rows)


def _need(condition: Condition) -> tuple[str, int, list[str], list[list[str]]]:
    return (
        condition.kind,
        int(condition.names_unit),
        list(condition.where),
        [[json.dumps(value) for value in values] for values in condition.where.values()],
    )


def _feed(client: Client, schema: Schema, kinds: set[str]) -> None:
    """Copy these kinds to `plan_events` from now on, and what the ledger has of them."""
    new = sorted(kinds - {row[0] for row in client.execute("SELECT kind FROM plan_kinds")})
    if not new:
        return
    client.execute("INSERT INTO plan_kinds (kind) VALUES", [(kind,) for kind in new])
    # An insert that began before this may still use the old kinds; its rows are copied below.
    running = _inserts(client)
    while running & _inserts(client):
        time.sleep(_POLL_SECONDS)
    client.execute(
        f"""
        INSERT INTO plan_events ({COPIED})
        SELECT {COPIED} FROM {schema.database}.ledger
        WHERE kind IN %(kinds)s OR version > 1 OR deleted
        """,
        {"kinds": new},
    )


def _inserts(client: Client) -> set[str]:
    return {
        row[0]
        for row in client.execute(
            "SELECT query_id FROM system.processes "
            "WHERE query_kind = 'Insert' AND query ILIKE '%%INTO ledger%%'"
        )
    }


def moved_deadlines(client: Client) -> list[MovedDeadline]:
    """Deadlines that a load set, moved or removed after the plan's first load, oldest first."""
    found: list[MovedDeadline] = []
    known: dict[str, dict[str, date]] = {}
    query = """
        SELECT plan, loaded_at, any(author), any(reason), groupArray(milestone),
               groupArray(deadline)
        FROM (SELECT * FROM plans ORDER BY position)
        GROUP BY plan, loaded_at
        ORDER BY loaded_at, plan
    """
    for plan, loaded_at, author, reason, milestones, deadlines in client.execute(query):
        now = dict(zip(milestones, deadlines, strict=True))
        before = known.get(plan)
        if before is not None:
            found += [
                MovedDeadline(
                    plan, name, now.get(name), before.get(name), loaded_at, author, reason
                )
                for name in [*now, *(gone for gone in before if gone not in now)]
                if now.get(name) != before.get(name)
            ]
        known[plan] = now
    return found
