"""Rules about ClickHouse: accounts, schema, parts, disks, replicas, chunks and repairs."""

from collections.abc import Iterator

from doctor.facts import Facts, UnavailableError
from doctor.facts.clickhouse import READERS
from doctor.rules.base import (
    CLOCK_FAILURE_SECONDS,
    CLOCK_WARNING_SECONDS,
    Finding,
    Rule,
    Verdict,
    format_chunk,
    judge_disks,
    start_remedy,
)

_MIN_TESTED_VERSION = (26, 7)
# A replica further behind is late; an incomplete repair that is older was given up.
_REPLICA_DELAY_SECONDS, _REPAIR_SECONDS = 60, 3600
_EQUAL = "every figure was what the ledger says"


def _connection(facts: Facts) -> Iterator[Finding]:
    where = f"{facts.settings.clickhouse.host}:{facts.settings.clickhouse.native_port}"
    if isinstance(facts.server_or_reason, str):
        remedy = start_remedy(
            facts,
            "PRAVAH_CLICKHOUSE__HOST, PRAVAH_CLICKHOUSE__NATIVE_PORT and PRAVAH_CLICKHOUSE__USERS",
        )
        yield Finding(
            "failure",
            f"no ClickHouse answers the writer at {where}: {facts.server_or_reason}",
            remedy,
        )
    else:
        yield Finding("ok", f"at {where}")


def _version(facts: Facts) -> Iterator[Finding]:
    found = facts.server.version
    if tuple(int(part) for part in found.split(".")[:2]) < _MIN_TESTED_VERSION:
        yield Finding(
            "warning",
            f"{found}, older than the {'.'.join(map(str, _MIN_TESTED_VERSION))} that Pravah is "
            "tested with",
            "update ClickHouse",
        )
    else:
        yield Finding("ok", found)


def _accounts(facts: Facts) -> Iterator[Finding]:
    accounts, database = facts.server.accounts, facts.settings.clickhouse.database
    is_well = True
    for role in ("writer", *READERS):
        account = accounts.get(role)
        name = f"PRAVAH_CLICKHOUSE__USERS__{role.upper()}"
        if account is None:
            yield Finding(
                "warning",
                f"no account for {role} is set",
                f"make one that may read {database}.* only, and set {name}__USER and "
                f"{name}__PASSWORD",
            )
        elif account.problem:
            yield Finding(
                "failure",
                f"{role} does not get in: {account.problem}",
                f"set {name}__USER and {name}__PASSWORD, or repair the account on the server",
            )
        elif account.missing_grants:
            grants = (
                f"GRANT ALL ON {database}.*"
                if role == "writer"
                else f"GRANT SELECT ON {database}.*"
            )
            yield Finding(
                "failure",
                f"{role} lacks the rights {', '.join(account.missing_grants)} on {database}",
                f"{grants} to the account",
            )
        elif account.excess_grants:
            remedy = (
                f"REVOKE {', '.join(account.excess_grants)} ON {database}.* from the account, "
                "or give it a profile with readonly = 2"
            )
            yield Finding(
                "failure",
                f"{role} may {', '.join(account.excess_grants)} on {database}: who only reads "
                "must not be able to change a figure",
                remedy,
            )
        else:
            continue
        is_well = False
    if facts.server.unreadable_tables:
        is_well = False
        yield Finding(
            "warning",
            f"the writer may not read {', '.join(facts.server.unreadable_tables)}, so a part of "
            "these checks says nothing",
            "GRANT SELECT ON system.* to the account",
        )
    if is_well:
        yield Finding("ok", f"{', '.join(accounts)} get in; readers may only read")


def _schema(facts: Facts) -> Iterator[Finding]:
    at, newest = facts.server.migration, facts.server.newest_migration
    if at < newest:
        yield Finding(
            "failure", f"the schema is at migration {at}, this Pravah needs {newest}", "`pravah up`"
        )
    elif at > newest:
        yield Finding(
            "failure",
            f"the schema is at migration {at}, this Pravah knows {newest}",
            "update Pravah on this machine",
        )
    else:
        yield Finding("ok", f"migration {at}, the newest")


def _part_counts(facts: Facts) -> Iterator[Finding]:
    server = facts.server
    if not (server.parts_to_delay and server.parts_to_throw):
        msg = "ClickHouse does not tell its limits of parts"
        raise UnavailableError(msg)
    is_well = True
    for table, active in server.part_counts:
        if active >= server.parts_to_delay:
            is_well = False
            refused = active >= server.parts_to_throw
            yield Finding(
                "failure" if refused else "warning",
                f"{table} has {active:,} active parts: inserts are "
                f"{'refused' if refused else 'slowed down'} from "
                f"{server.parts_to_throw if refused else server.parts_to_delay:,} on",
                "merges do not keep up: raise PRAVAH_FLUSH_SECONDS, run fewer workers, and look "
                "at the server's disk and system.merges",
            )
    if is_well:
        most = max(server.part_counts, key=lambda parts: parts.active, default=None)
        yield Finding(
            "ok",
            f"at most {most.active:,} ({most.table}), of {server.parts_to_delay:,}"
            if most
            else "none yet",
        )


def _disk_space(facts: Facts) -> Iterator[Finding]:
    yield from judge_disks(
        list(facts.server.disks), "without disk space workers wait, and figures stand still"
    )


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead = facts.server.clock_ahead_seconds
    if abs(ahead) > CLOCK_WARNING_SECONDS:
        verdict: Verdict = "failure" if abs(ahead) > CLOCK_FAILURE_SECONDS else "warning"
        found = (
            f"its clock is {abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} this "
            "machine's: `totals` ends with its today, and figures as known before use its time"
        )
        yield Finding(verdict, found, "let all machines follow a time server (NTP)")
    else:
        yield Finding("ok", f"within {CLOCK_WARNING_SECONDS:g} s of this machine's")


def _detached_parts(facts: Facts) -> Iterator[Finding]:
    broken = [
        part
        for part in facts.server.detached_parts
        if "broken" in part.reason or part.reason in {"unexpected", "noquorum"}
    ]
    others = [part for part in facts.server.detached_parts if part.reason == ""]
    if broken:
        first = broken[0]
        yield Finding(
            "failure",
            f"{len(broken)} parts could not be read and were set aside, the first of "
            f"{first.table}: {first.name} ({first.reason}). What was in them is not in the "
            "figures",
            "look at the disk; put the database back from a back-up, or `pravah reconcile` "
            "shows what is wrong; then ALTER TABLE … DROP DETACHED PART",
        )
    if others:
        first = others[0]
        yield Finding(
            "warning",
            f"{len(others)} parts were detached by hand, the first of {first.table}: "
            f"{first.name}; they are not counted",
            "ALTER TABLE … ATTACH PART, or DROP DETACHED PART",
        )
    if not broken and not others:
        yield Finding("ok", "no part was set aside")


def _replicas(facts: Facts) -> Iterator[Finding]:
    replicas = facts.server.replicas
    readonly = [replica.table for replica in replicas if replica.readonly]
    late = [replica for replica in replicas if replica.delay_seconds > _REPLICA_DELAY_SECONDS]
    if readonly:
        yield Finding(
            "failure",
            f"read-only replicas: {', '.join(readonly)}",
            "bring ClickHouse Keeper back; then SYSTEM RESTART REPLICA",
        )
    if late:
        worst = max(late, key=lambda replica: replica.delay_seconds)
        yield Finding(
            "warning",
            f"{worst.table} is {worst.delay_seconds} s behind its other copies: who reads here "
            "sees old figures",
            "look at system.replication_queue",
        )
    if not readonly and not late:
        yield Finding(
            "ok", f"{len(replicas)} tables, all current" if replicas else "one server, no replicas"
        )


def _repairs(facts: Facts) -> Iterator[Finding]:
    for repair in facts.tables.incomplete_repairs:
        yield Finding(
            "failure" if repair.age_seconds > _REPAIR_SECONDS else "warning",
            f"repair {repair.number} ({repair.kind}: {repair.reason[:80]}) was begun "
            f"{repair.age_seconds:,} s ago and is not complete: figures may hold a part of it",
            "if the command that made it still runs, let it end; else `pravah reconcile "
            "--repair` counts anew and writes what is left",
        )
    if not facts.tables.incomplete_repairs:
        yield Finding("ok", "none is left half done")


def _reconciliation(facts: Facts) -> Iterator[Finding]:
    last = facts.tables.reconciliation
    if last is None:
        yield Finding("ok", "not yet: `pravah reconcile` proves the figures")
    elif last.different and not last.repair:
        yield Finding(
            "failure",
            f"at {last.at} {last.different:,} figures differed from the ledger, and were not "
            "repaired",
            "`pravah reconcile --repair`",
        )
    else:
        proof = f"repaired, by repair {last.repair}" if last.different else _EQUAL
        yield Finding("ok", f"at {last.at}: {proof}")


def _chunk_overlaps(facts: Facts) -> Iterator[Finding]:
    overlapping = facts.tables.overlapping_chunks
    if overlapping:
        yield Finding(
            "failure",
            f"chunks overlap ({format_chunk(overlapping[0])} begins before the one in front of it "
            "ends): records there may be counted twice",
            "`pravah reconcile` says whether; if so, rebuild the figures with `pravah replay "
            "log`. Workers with different PRAVAH_CHUNK_SIZE are the usual cause",
        )
    else:
        yield Finding("ok", "no two chunks overlap")


RULES = (
    Rule("ClickHouse", "answers", _connection),
    Rule("ClickHouse", "version", _version),
    Rule("ClickHouse", "accounts", _accounts),
    Rule("ClickHouse", "schema", _schema),
    Rule("ClickHouse", "parts", _part_counts),
    Rule("ClickHouse", "disk", _disk_space),
    Rule("ClickHouse", "clock", _clock),
    Rule("ClickHouse", "detached parts", _detached_parts),
    Rule("ClickHouse", "replicas", _replicas),
    Rule("ClickHouse", "repairs", _repairs),
    Rule("ClickHouse", "reconciled", _reconciliation),
    Rule("ClickHouse", "chunks", _chunk_overlaps),
)
