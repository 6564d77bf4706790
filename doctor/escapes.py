"""Ways by which a ClickHouse account could come to more than it was given, as data.

Each is a statement that changes nothing if it succeeds, or a privilege that the account must lack:
what would leave a user, a database, a function or a file behind is looked up, never tried.
`find_escapes` tries them; none may succeed. Tests try them as every account of the embedded server,
`pravah doctor --escapes` as the configured accounts of any server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from sinks.connection import first_line

# Time that an attempt gets, and the error after it.
_SECONDS, _TIMEOUT_EXCEEDED = 5, 159
# Errors of a server that did try to reach another one.
_NETWORK_CODES = frozenset({86, 198, 209, 210, 279, 499, 1000})
# Answers of a function that may not read a file and has something else to return.
_NOTHING = ([("nothing",)], [(None,)])

Kind = Literal["writer", "state", "headquarters", "unit"]


@dataclass(frozen=True)
class Escape:
    """An attempt that must be refused."""

    what: str
    """The statement, or the privilege with what it is on."""
    is_privilege: bool = False
    must_be_denied: bool = True
    """Whether an answer without rows is as bad as one with rows."""


# `{path}` is a file of the server, `{database}` that of the deployment.
_FILES = (
    "SELECT file('{path}')",
    "SELECT file('{path}', 'nothing')",
    "SELECT file('{path}', NULL)",
    "SELECT file(path) FROM (SELECT '{path}' AS path)",
    "SELECT arrayMap(path -> file(path), ['{path}'])",
    "SELECT arrayMap(file, ['{path}'])",
    "WITH path -> file(path) AS read SELECT read('{path}')",
    "SELECT * APPLY(file) FROM (SELECT '{path}')",
    "SELECT * FROM view(SELECT file('{path}'))",
    "SELECT * FROM format(RawBLOB, file('{path}'))",
    "SELECT * FROM values('text String', file('{path}'))",
    "SELECT * FROM eval('SELECT file(''{path}'')')",
    "SELECT file('{path}') SETTINGS enable_analyzer = 0",
    "SELECT if(1, file('{path}'), '')",
    "SELECT toTypeName(x), x FROM (SELECT file('{path}') AS x) WHERE x != ''",
    "SELECT * FROM file('{path}', RawBLOB)",
    "SELECT * FROM file('{path}', LineAsString)",
    "SELECT * FROM fileCluster('default', '{path}', RawBLOB)",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM default.`{path}`",
    "SELECT * FROM sqlite('{path}', 'sqlite_master')",
    "SELECT * FROM icebergLocal('{path}')",
    "SELECT * FROM deltaLakeLocal('{path}')",
    "SELECT * FROM executable('cat', TSV, 'line String')",
    "SELECT catboostEvaluate('{path}', 1.0)",
    "CREATE TEMPORARY TABLE escape (line String) ENGINE = File(LineAsString, '{path}')",
)
_NETWORK = (
    "SELECT * FROM url('http://127.0.0.1:9/', RawBLOB)",
    "SELECT * FROM urlCluster('default', 'http://127.0.0.1:9/', RawBLOB)",
    "SELECT * FROM s3('http://127.0.0.1:9/bucket/key', NOSIGN, RawBLOB)",
    "SELECT * FROM gcs('http://127.0.0.1:9/bucket/key', RawBLOB)",
    "SELECT * FROM azureBlobStorage('http://127.0.0.1:9/', 'container', 'key', 'a', 'b', RawBLOB)",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:9/file', RawBLOB)",
    "SELECT * FROM remote('127.0.0.1:9', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:9', system.one)",
    "SELECT * FROM mysql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:9', 'd', 't', 'u', 'p', 'a String')",
    "SELECT * FROM redis('127.0.0.1:9', 'k', 'k String, v String')",
    "SELECT * FROM odbc('DSN=x', 'd', 't')",
    "SELECT * FROM jdbc('jdbc:x', 'd', 't')",
)
# Privileges on everything (`*.*` or a source) that no account of ours needs.
_PRIVILEGES_OF_NOBODY = (
    "READ ON FILE",
    "WRITE ON FILE",
    "READ ON URL",
    "READ ON REMOTE",
    "READ ON S3",
    "READ ON MYSQL",
    "READ ON POSTGRES",
    "CREATE USER ON *.*",
    "ALTER USER ON *.*",
    "CREATE ROLE ON *.*",
    "ROLE ADMIN ON *.*",
    "CREATE ROW POLICY ON *.*",
    "DROP ROW POLICY ON *.*",
    "CREATE SETTINGS PROFILE ON *.*",
    "CREATE QUOTA ON *.*",
    "SHOW USERS ON *.*",
    "CREATE FUNCTION ON *.*",
    "CREATE DATABASE ON *.*",
    "CREATE NAMED COLLECTION ON *",
    "SHOW NAMED COLLECTIONS SECRETS ON *",
    "KILL QUERY ON *.*",
    "BACKUP ON *.*",
    "SYSTEM SHUTDOWN ON *.*",
    "SYSTEM LISTEN ON *.*",
    "SYSTEM RELOAD CONFIG ON *.*",
    "SYSTEM DROP CACHE ON *.*",
    "SYSTEM FLUSH LOGS ON *.*",
    "addressToLine ON *.*",
    "CREATE DICTIONARY ON {database}.*",
    "BACKUP ON {database}.*",
    "TABLE ENGINE ON File",
    "TABLE ENGINE ON URL",
    "TABLE ENGINE ON Executable",
    "TABLE ENGINE ON MySQL",
)
_PRIVILEGES_OF_WRITERS = (
    *("INSERT", "ALTER", "TRUNCATE", "OPTIMIZE", "CREATE TABLE", "CREATE VIEW"),
    *("DROP TABLE", "DROP VIEW", "DROP DATABASE", "SYSTEM MERGES", "SYSTEM VIEWS", "dictGet"),
)
_SYSTEM_TABLES = (
    *("backups", "certificates", "clusters", "crash_log", "detached_parts", "dictionaries"),
    *("disks", "errors", "events", "grants", "merges", "metrics", "mutations", "part_log"),
    *("named_collections", "processes", "query_log", "query_thread_log", "query_views_log"),
    *("quotas", "quotas_usage", "remote_data_paths", "replicas", "role_grants"),
    *("roles", "row_policies", "server_settings", "session_log", "settings_profile_elements"),
    *("settings_profiles", "stack_trace", "storage_policies", "text_log", "trace_log"),
    *("user_directories", "user_processes", "users", "view_refreshes", "warnings", "zookeeper"),
    *("asynchronous_metrics", "build_options", "macros", "parts_columns", "moves"),
)
_SETTINGS = (
    "readonly = 0",
    "readonly = 2",
    "allow_ddl = 0",
    "max_memory_usage = 0",
    "max_execution_time = 0",
    "max_execution_time = 100000",
    "max_threads = 1000",
    "max_result_bytes = 0",
    "add_http_cors_header = 1",
    "allow_introspection_functions = 1",
    "allow_experimental_eval_table_function = 1",
    "additional_table_filters = {'system.one': '1'}",
    "apply_row_policy_after_final = 0",
    "dialect = 'prql'",
    "enable_analyzer = 0",
    "format_schema = 'x'",
    "format_template_resultset = 'x'",
    "output_format_schema = 'x'",
    "log_queries = 0",
    "max_sessions_for_user = 0",
)
_STATEMENTS = (
    "SET readonly = 0",
    "CREATE TEMPORARY TABLE escape (n UInt8)",
    # of a table that does not exist
    "GRANT SELECT ON pravah_escape.nothing TO pravah_aicc",
    "EXECUTE AS pravah_writer SELECT 1",
    "KILL QUERY WHERE query_id = 'pravah-escape'",
    "SHOW CREATE USER",
    "SHOW USERS",
    "SHOW ACCESS",
    "SHOW GRANTS FOR pravah_writer",
    "SHOW CREATE ROW POLICIES",
    "SHOW SETTINGS PROFILES",
    "SHOW QUOTAS",
    "SHOW PROCESSLIST",
    "SYSTEM RELOAD CONFIG",
    "SYSTEM RELOAD USERS",
    "SYSTEM FLUSH LOGS",
    "INSERT INTO FUNCTION null('n UInt8') SELECT 1",
)
# Tables that hold rows for their owner alone, tried in every way that reads a table.
_CLOSED = ("api_tokens", "leases", "migrations")
_TABLES_OF_A_STATE = ("contacts", "ledger", "plan_events", "membership_events", "journal", "units")
_READS = (
    "SELECT * FROM {database}.{table}",
    "SELECT count() FROM {database}.{table}",
    "SELECT 1 FROM {database}.{table} LIMIT 1",
    "EXPLAIN SELECT * FROM {database}.{table}",
    "EXPLAIN ESTIMATE SELECT * FROM {database}.{table}",
    "DESCRIBE TABLE {database}.{table}",
    "SHOW CREATE TABLE {database}.{table}",
    "SELECT * FROM merge('{database}', '^{table}$')",
    "SELECT * FROM loop('{database}', '{table}')",
    "SELECT * FROM remote('127.0.0.1', '{database}', '{table}')",
    "SELECT * FROM cluster('default', '{database}', '{table}')",
    "SELECT * FROM dictionary('{database}.{table}')",
    "SELECT * FROM mergeTreeIndex('{database}', '{table}')",
    "SELECT * FROM mergeTreeIndex('{database}', '{table}', with_marks = true)",
    "SELECT * FROM mergeTreeAnalyzeIndexes('{database}', '{table}')",
    "SELECT * FROM mergeTreeProjection('{database}', '{table}', 'below')",
    "SELECT name FROM system.tables WHERE database = '{database}' AND name = '{table}'",
    "SELECT name FROM system.columns WHERE database = '{database}' AND table = '{table}'",
)


def list_escapes(kind: Kind, database: str, paths: tuple[str, ...]) -> Iterator[Escape]:
    """List the attempts that an account must fail at.

    Args:
        kind: of the account: the writer, a reader of all units, or the reader of one unit.
        database: of the deployment.
        paths: files of the server's machine, at least one.
    """
    for path in paths:
        yield from (Escape(one.format(path=path)) for one in _FILES)
    yield from map(Escape, _NETWORK)
    yield from _privileges(_PRIVILEGES_OF_NOBODY, database)
    if kind == "writer":
        return
    yield from _privileges(
        (
            *(f"{one} ON {{database}}.*" for one in _PRIVILEGES_OF_WRITERS),
            *("CREATE TEMPORARY TABLE ON *.*", "CLUSTER ON *.*", "SET DEFINER ON *"),
        ),
        database,
    )
    yield from (
        Escape(f"SELECT * FROM system.{table}", must_be_denied=False) for table in _SYSTEM_TABLES
    )
    if kind != "state":
        yield Escape("SELECT * FROM system.parts")
    yield from (Escape(f"SELECT 1 SETTINGS {one}") for one in _SETTINGS)
    yield from map(Escape, _STATEMENTS)
    closed = _CLOSED + (_TABLES_OF_A_STATE if kind == "unit" else ())
    yield from (
        Escape(read.format(database=database, table=table), must_be_denied=False)
        for table in closed
        for read in _READS
    )


def find_escapes(client: Client, escapes: Iterator[Escape]) -> Iterator[str]:
    """Try each escape, and yield those that succeed.

    Args:
        client: of the account; its connection may be lost on the way.
        escapes: of the account's kind.

    Yields:
        One line for each attempt that was not refused.
    """
    for escape in escapes:
        if escape.is_privilege:
            try:
                is_granted = client.execute(f"CHECK GRANT {escape.what}")[0][0]
            except ServerException:
                continue  # this version has no such privilege
            if is_granted:
                yield f"has the privilege {escape.what}"
            continue
        try:
            rows = client.execute(escape.what, settings={"max_execution_time": _SECONDS})
        except ServerException as error:
            if error.code in _NETWORK_CODES:
                yield f"{escape.what}: tried to connect"
            elif error.code == _TIMEOUT_EXCEEDED:
                yield f"{escape.what}: ran for {_SECONDS} s"
            continue
        except (EOFError, OSError) as error:
            yield f"{escape.what}: the connection broke, {first_line(error)}"
            continue
        if escape.must_be_denied and rows not in _NOTHING:
            yield f"{escape.what}: answered"
        elif rows and rows not in _NOTHING and rows != [(0,)]:
            yield f"{escape.what}: {len(rows)} rows"


def _privileges(privileges: tuple[str, ...], database: str) -> Iterator[Escape]:
    return (Escape(one.format(database=database), is_privilege=True) for one in privileges)
