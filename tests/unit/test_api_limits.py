"""What strangers can make the API write, remember and query; cursors that nobody issued."""

import ast
import asyncio
import base64
import json
import logging
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import audit
from api.addresses import MAX_ADDRESSES, AddressLimit, client_address
from api.audit import AuditLog, open_log
from api.changes import Cursor, Position
from api.query import Selection, apply_scope, decode_cursor, read_open_table
from api.tokens import Tokens
from pravah.problems import Problem
from schemas.access import Scope, hash_secret

API = Path(__file__).parents[2] / "api"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def request(address: str = "192.0.2.1", path: str = "/v1/rollups", query: str = "") -> dict:
    return {
        "type": "http",
        "client": (address, 1),
        "path": path,
        "query_string": query.encode("latin-1"),
    }


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "logs" / "api-audit.jsonl"
    handler = open_log(path)
    audit.logger.addHandler(handler)
    audit.logger.setLevel(logging.INFO)
    yield path
    audit.logger.removeHandler(handler)
    handler.close()


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_the_log_grows_with_minutes_not_with_requests_without_a_token(log: Path) -> None:
    clock, choose = Clock(), random.Random(1)
    writer = AuditLog(clock)
    for number in range(100_000):
        clock.now = number / 1_000  # in 100 s
        address = f"2001:db8:{choose.randrange(2**16):x}::{choose.randrange(2**16):x}"
        scope = request(address, "/v1/rollups/\x00" * 500, "unit=\xff" * 8_000)
        writer.log_request(scope, None, choose.choice([400, 401, 429]), 0.001)
    writer.write_counts()
    assert log.stat().st_size < 100_000
    written = lines(log)
    assert sum(one.get("requests", 1) for one in written) == 100_000, "none is lost"
    assert {one["holder"] for one in written} == {None}
    assert max(len(json.dumps(one)) for one in written) < 5_000


def test_a_line_of_a_holder_is_bounded_and_has_an_address(log: Path) -> None:
    writer = AuditLog(Clock())
    long = request("198.51.100.7", "/v1/rollups", "unit=CG&" * 8_000)
    writer.log_request(long, "h" * 60_000, 200, 0.5)
    writer.log_request(request(query="unit=CG"), "aicc", 200, 0.5)
    bounded, plain = lines(log)
    assert len(json.dumps(bounded)) < 4_000
    assert "64,000 characters" in bounded["query"]
    assert (bounded["address"], bounded["status"]) == ("198.51.100.7", 200)
    assert (plain["holder"], plain["query"]) == ("aicc", "unit=CG")


def test_the_files_are_rotated_and_for_their_owner_alone(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (handler,) = audit.logger.handlers
    monkeypatch.setattr(handler, "maxBytes", 50_000)
    writer = AuditLog(Clock())
    for number in range(10_000):
        writer.log_request(request(query=f"cursor={number}"), "aicc", 200, 0.01)
    files = list(log.parent.iterdir())
    assert len(files) == 1 + audit.MAX_OLD_FILES
    assert sum(one.stat().st_size for one in files) <= 50_000 * len(files)
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_a_log_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "api-audit.jsonl"
    path.write_text("{}\n")
    path.chmod(0o644)
    open_log(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("testclient", 1), "testclient"),
        (("x" * 10_000, 1), "x" * 64),
        (None, ""),
    ],
)
def test_an_address_is_short_and_that_of_a_client(client: object, address: str) -> None:
    assert client_address({"type": "http", "client": client}) == address


def test_an_address_may_send_so_many_unknown_tokens_and_others_are_not_held_up() -> None:
    clock = Clock()
    limit = AddressLimit("3/minute", clock)
    for _ in range(3):
        limit.hit("a")
    with pytest.raises(Problem, match="3/minute") as caught:
        limit.hit("a")
    assert caught.value.status == 429
    assert 0 < int(caught.value.headers["Retry-After"]) <= 61
    limit.hit("b")
    clock.now = 60
    limit.hit("a")
    for number in range(3 * MAX_ADDRESSES):
        limit.hit(str(number))
    assert len(limit._windows) == MAX_ADDRESSES


class TokenTable:
    """Counts look-ups."""

    def __init__(self, *valid: str) -> None:
        self.valid = {hash_secret(one) for one in valid}
        self.queries = 0

    async def rows(self, _: str, parameters: dict) -> list:
        self.queries += 1
        return [["aicc", "IN", ["figures"]]] if parameters["hash"] in self.valid else []


def test_unknown_tokens_cost_few_queries_and_little_memory(monkeypatch) -> None:
    clock, table = Clock(), TokenTable("valid")
    clock.now = 1_000
    monkeypatch.setattr("api.tokens.time.monotonic", clock)
    tokens = Tokens(table, AddressLimit("60/minute", clock))  # type: ignore[arg-type]

    def status(secret: str | None, address: str) -> int:
        try:
            asyncio.run(tokens.scope(secret, address))
        except Problem as problem:
            return problem.status
        return 200

    assert status("valid", "hq") == 200
    for number in range(1_000):
        assert status(f"guess {number}", "stranger") == (401 if number < 60 else 429)
    assert table.queries == 61
    assert {status("same", "another") for _ in range(50)} == {401}
    assert table.queries == 62, "an unknown token is cached"
    assert {status(None, "third") for _ in range(100)} == {401, 429}
    clock.now += 6
    assert status("valid", "stranger") == 200, "a valid token behind the same address is served"
    for number in range(5_000):
        assert status(f"guess {number}", f"address {number}") == 401
    assert len(tokens._unknown) <= 1_000
    before = table.queries
    assert status("valid", "hq") == 200
    assert table.queries == before, "strangers do not displace valid tokens"
    table.valid.clear()
    clock.now += 6
    assert status("valid", "hq") == 401, "revoked"


def test_a_token_tried_before_it_was_made_works_soon_after(monkeypatch) -> None:
    clock, table = Clock(), TokenTable()
    monkeypatch.setattr("api.tokens.time.monotonic", clock)
    tokens = Tokens(table, AddressLimit("60/minute", clock))  # type: ignore[arg-type]
    with pytest.raises(Problem, match="unknown"):
        asyncio.run(tokens.scope("new", "hq"))
    table.valid.add(hash_secret("new"))
    clock.now += 6
    assert asyncio.run(tokens.scope("new", "hq")).unit == "IN"


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


POSITION = {"epoch": "", "reach": {"0": 5}, "closed": {"0": 0}, "repair": 0}


@pytest.mark.parametrize("since", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"reach": {"0": -1}},
        {"reach": {"0": 2**63}},
        {"reach": {"0": 10**400}},
        {"reach": {"-1": 0}},
        {"reach": {str(2**31): 0}},
        {"reach": {"x": 0}},
        {"reach": [1]},
        {"reach": {"0": 1.5}},
        {"reach": {"0": None}},
        {"closed": {"0": -1}},
        {"closed": {"0": 2**64}},
        {"closed": {str(-(2**70)): 0}},
        {"repair": -1},
        {"repair": 2**63},
        {"repair": "many"},
        {"epoch": None},
        {"epoch": "e" * 65},
        {"other": 1},
    ],
)
def test_a_position_out_of_bounds_is_a_400(change: dict, *, since: bool) -> None:
    wrong = {**POSITION, **change}
    cursor = {"since": wrong} if since else {"since": POSITION, "until": wrong}
    with pytest.raises(Problem, match="begin without one") as caught:
        Cursor.decode(encode(cursor))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text",
    ["", "é", "=", "AAAA", "!!!", "\x00", "bnVsbA", encode([]), encode("x"), encode(1), "W" * 9]
    + [
        encode({"since": None, "after": after})
        for after in ([], ["a"] * 3, ["a" * 81] * 4, [1] * 4)
    ]
    + [base64.urlsafe_b64encode(b"[" * 10_000).decode()],
)
def test_garbage_is_a_400(text: str) -> None:
    for decode in (Cursor.decode, lambda text: decode_cursor(text, 7)):
        with pytest.raises(Problem) as caught:
            decode(text)
        assert caught.value.status == 400


def test_a_cursor_of_ours_is_read() -> None:
    position = Position(epoch="2022", reach={0: 2**63 - 1, 11: 0}, closed={}, repair=2**63 - 1)
    cursor = Cursor(since=position, until=position, after=("booth", "m", "CG", "2022-03-01"))
    assert Cursor.decode(cursor.encode()) == cursor


def test_a_query_is_built_from_rows_within_a_scope_alone() -> None:
    """Only `api/query.py` calls the constructors of rows and queries."""
    for path in API.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        ours = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "api.query"
            for alias in node.names
        }
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & ours & {"Rows", "Query"}, path
        assert not called & {"query.Rows", "query.Query"}, path
    holder = Scope("a", "CG-D-A", frozenset())
    rows = apply_scope("rollups", Selection(holder, level="booth"), [])
    with pytest.raises(ValueError, match="scope allows"):
        rows.query("SELECT * FROM rollups", ("unit",), ("unit",))
    with pytest.raises(ValueError, match="parameters of its scope"):
        rows.query(f"SELECT * FROM ({rows.sql})", ("unit",), ("unit",), {"chosen": ["IN"]})
    with pytest.raises(ValueError, match="within a scope"):
        read_open_table("rollups")
