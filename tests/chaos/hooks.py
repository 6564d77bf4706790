"""Random and mutated bodies against every hook and `/v1/events`.

    python tests/chaos/hooks.py [--bodies 100000] [--seed N] [--json]

No response is a 5xx but 503, nothing crashes, and memory stays bounded. Bodies are the examples'
samples with random changes, and random bytes, with the right secret: requests without one are
refused unread. `pravah gateway` runs as a process of its own, without Kafka; the short form in
`test_gateway_contract.py` calls the application itself.
"""

import argparse
import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import os
import random
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import psutil

import reference
from operations.registry_files import read_registry_files
from operations.worker_processes import start_worker
from pravah.settings import Settings
from producers.gateway.schema import FILE
from producers.gateway.store import Store
from schemas.entries import encode_entries
from schemas.registry import Registry
from tests.support import gateway_world

EXAMPLES = Path(__file__).resolve().parents[2] / "producers" / "examples"
SAMPLES = {
    tool: min((EXAMPLES / tool).glob("*.json")).read_bytes()
    for tool in ("kobo", "odk", "commcare", "rapidpro", "glific")
}
CLIENTS = 8
# Path, body and headers → status, media type and body.
Send = Callable[[str, bytes, dict[str, str]], tuple[int, str, bytes]]

WORDS = [
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "NaN",
    "null",
    "true",
    "CG-AC084-B0017",
    "cg_ac084",
    "2022-02-30",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "😀",
    "\u0000",
    "ि",
    "a" * 5_000,
    "@results.group.input",
    "{{ name }}",
    "${booth}",
    "#REF!",
    "undefined",
    "???? ?????",
    "\ufffd",
    "9.19E+11",
    "\u202a+91 90000 00001\u202c",
    "90000 00001 / 90000 00002",
    "\u0921\u093c",
    "13/05/2022",
    "2032-05-03",
    "uuid:5b1f0c6a-526f-4e34-9d52-1c1f4b7d0a01",
]
# Keys that servers and clients of several ages send.
KEYS = [
    "meta/deprecatedID",
    "meta/rootUuid",
    "meta/instanceID",
    "_uuid",
    "_last_edited",
    "orig_id",
    "edited_on",
    "submission_id",
    "sent_at",
    "is_deleted",
    "question_xpath",
    "base64EncryptedKey",
]
VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    2**63,
    -(2**63) - 1,
    10**400,
    0.1,
    1e308,
    [],
    {},
    [[]],
    {"": {}},
    [None] * 50,
    *WORDS,
]
TEXTS = [
    b"",
    b"{",
    b"[",
    b"]",
    b'"',
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"null",
    b"1" * 400,
    b"[" * 5_000,
    b'{"a":' * 5_000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    b"%00",
    b"\\u0000",
    b"\\ud800",
    b"NaN",
    b"-Infinity",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b'"a":1,"a":2,',
    b"1e400",
]


def sources(folder: Path) -> Path:
    """Write a source per tool, with the examples' mappings."""
    gateway_world.write_sources(folder, {"script": gateway_world.source("events", "bearer")})
    for tool, check in (
        ("kobo", "header"),
        ("odk", "basic"),
        ("commcare", "basic"),
        ("rapidpro", "header"),
        ("glific", "hmac"),
    ):
        mapping = min((EXAMPLES / tool / "mappings").glob("*.toml"))
        text = gateway_world.source(tool, check).replace('"form.toml"', json.dumps(str(mapping)))
        (folder / f"{tool}-any.toml").write_text(text, encoding="utf-8")
    return folder


def headers(tool: str, body: bytes) -> dict[str, str]:
    """Headers that authenticate the source."""
    if tool == "events":
        return dict(gateway_world.BEARER)
    if tool in {"odk", "commcare"}:
        return dict(gateway_world.BASIC)
    if tool == "glific":
        stamp = str(int(time.time()))
        digest = hmac.new(
            gateway_world.SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        return {"X-Glific-Signature": f"t={stamp},v1={digest}"}
    return {"X-Secret": gateway_world.SECRET}


def random_body(rng: random.Random, tool: str) -> bytes:
    """A sample with random changes, or random bytes."""
    sample = json.loads(SAMPLES[tool]) if tool != "events" else _event(rng)
    kind = rng.random()
    if kind < 0.05:
        return rng.randbytes(rng.randrange(200))
    if kind < 0.1:
        return _write_unusually(rng, json.dumps(sample))
    if kind < 0.55:
        for _ in range(rng.randrange(1, 5)):
            sample = _mutate(rng, sample)
        return json.dumps(
            sample if rng.random() < 0.95 else [sample] * rng.randrange(30),
            ensure_ascii=rng.random() < 0.5,
        ).encode("utf-8", "surrogatepass")
    body = bytearray(json.dumps(sample, ensure_ascii=False).encode())
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(body) + 1)
        choice = rng.random()
        if choice < 0.3:
            body[place:place] = rng.choice(TEXTS)
        elif choice < 0.6:
            del body[place : place + rng.randrange(1, 40)]
        elif choice < 0.8 and place < len(body):
            body[place] = rng.randrange(256)
        else:
            body[place:place] = body[: rng.randrange(len(body) + 1)]
    return bytes(body)


def _write_unusually(rng: random.Random, text: str) -> bytes:
    """A valid body in another encoding, compressed, as a web form, or cut off."""
    return rng.choice(
        [
            b"\xef\xbb\xbf" + text.encode(),
            text.encode("utf-16"),
            text.encode("utf-16-le"),
            text.encode("utf-32"),
            gzip.compress(text.encode()),
            urlencode({"payload": text}).encode(),
            text[: rng.randrange(len(text))].encode(),
            text.replace('": "', '": NaN, "x": "', 1).encode(),
        ]
    )


def _event(rng: random.Random) -> object:
    one = gateway_world.event(
        unit="CG-AC084-B0017", entity=f"e{rng.randrange(50)}", version=rng.randrange(1, 9)
    )
    return one if rng.random() < 0.7 else [one, gateway_world.event(unit="CG-AC084-B0018")]


def _mutate(rng: random.Random, content: object) -> object:
    """Replace, remove, rename or insert something at a random place."""
    if isinstance(content, dict) and content and rng.random() < 0.85:
        name = rng.choice(list(content))
        action = rng.random()
        if action < 0.15:
            return {key: value for key, value in content.items() if key != name}
        if action < 0.25:
            return content | {rng.choice([*WORDS, name + "/x", "x/" + name]): content[name]}
        if action < 0.35:
            return content | {rng.choice(KEYS): rng.choice([content[name], *VALUES])}
        return content | {name: _mutate(rng, content[name])}
    if isinstance(content, list) and content and rng.random() < 0.85:
        place = rng.randrange(len(content))
        return [
            *content[:place],
            _mutate(rng, content[place]),
            *content[place:] * rng.randrange(2),
        ]
    if isinstance(content, str) and rng.random() < 0.4:
        place = rng.randrange(len(content) + 1)
        return content[:place] + rng.choice(WORDS) + content[place:]
    if rng.random() < 0.1:
        deep: object = content
        for _ in range(rng.randrange(60)):
            deep = {"a": deep} if rng.random() < 0.5 else [deep]
        return deep
    return rng.choice(VALUES)


def fuzz(send: Send, bodies: int, seed: int) -> Counter[tuple[str, int]]:
    """Send random bodies.

    Returns:
        (tool, status) → how often.
    """
    rng, counts = random.Random(seed), Counter[tuple[str, int]]()
    tools = [*SAMPLES, "events"]
    for number in range(bodies):
        tool = tools[number % len(tools)]
        body = random_body(rng, tool)
        path = "/v1/events" if tool == "events" else f"/v1/hooks/{tool}/{tool}-any"
        status, media_type, answer = send(path, body, headers(tool, body))
        counts[tool, status] += 1
        assert status < 500 or status == 503, (tool, status, body[:2_000], answer)
        assert media_type == (
            "application/problem+json" if status >= 400 else "application/json"
        ), (tool, status, media_type, body[:2_000])
        check_answer(tool, status, json.loads(answer), body)
    return counts


def check_answer(tool: str, status: int, answer: dict[str, object], body: bytes) -> None:
    """Nothing is silent: each body counts, was known, or is refused with the reason.

    A review that ODK's hook reports is left to the pull.
    """
    if status in {401, 404, 408, 413, 415, 429, 503}:
        assert answer["detail"], (tool, status, answer)
    elif status >= 400:
        assert all(answer[name] for name in ("detail", "reason", "errors")), (tool, answer)
    elif tool != "events":
        known = int(str(answer["accepted"])) + int(str(answer["repeated"]))
        assert known or b"submission.update" in body, (tool, answer, body[:2_000])


def registry() -> Registry:
    """Pravah's own registry, which has the units of the samples."""
    return read_registry_files(reference.registry_files())


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run `pravah gateway` without Kafka; gives its port and its process."""
    home = folder / "home"
    with Store(home / "gateway" / FILE) as store:
        store.submit(
            lambda transaction: transaction.save_registry(encode_entries(registry()))
        ).result()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PRAVAH_HOME": str(home),
        "PRAVAH_GATEWAY_SOURCES": str(sources(folder / "sources")),
        "PRAVAH_GATEWAY_ALIASES": str(EXAMPLES / "rapidpro"),
        "PRAVAH_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PRAVAH_PERSON_KEY": "a key of a test, long enough",
        "PRAVAH_GATEWAY_ARCHIVE_BYTES": str(32 * 1024 * 1024),
    }
    process = start_worker(
        Settings(home=home),
        folder / "gateway.log",
        program=("-m", "pravah", "gateway", "--port", str(port)),
        environment=environment,
    )
    try:
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=1),
            ):
                break
            assert process.poll() is None, (folder / "gateway.log").read_text()[-2_000:]
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
        assert process.poll() is None, "it crashed"
    finally:
        process.kill()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    counts, failures = Counter[tuple[str, int]](), []
    sizes: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="pravah-hooks-") as folder,
        running(Path(folder)) as (port, process),
    ):
        local = threading.local()

        def send(path: str, body: bytes, given: dict[str, str]) -> tuple[int, str, bytes]:
            if not hasattr(local, "connection"):
                local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            local.connection.request("POST", path, body, given)
            answer = local.connection.getresponse()
            return answer.status, answer.headers["content-type"], answer.read()

        def client(number: int) -> None:
            try:
                counts.update(fuzz(send, options.bodies // CLIENTS, seed * CLIENTS + number))
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}"[:5_000])

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            sizes.append(process.memory_info().rss / 2**20)
            time.sleep(0.5)
        seconds = time.monotonic() - began
        log = (Path(folder) / "gateway.log").read_text()
        files = {
            path.name: path.stat().st_size for path in (Path(folder) / "home" / "gateway").iterdir()
        }
    failures += [line for line in log.splitlines() if "Traceback" in line]
    table = {f"{tool} {status}": count for (tool, status), count in sorted(counts.items())}
    result = {
        "seed": seed,
        "bodies": sum(counts.values()),
        "seconds": round(seconds, 1),
        "answers": table,
        "failures": failures,
        "files": files,
        "rss_mib_after_a_tenth": round(sizes[len(sizes) // 10]),
        "rss_mib_max": round(max(sizes)),
        "rss_mib_at_the_end": round(sizes[-1]),
    }
    print(json.dumps(result, indent=None if options.json else 2))
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.pop("PRAVAH_HOME", None)
    sys.exit(main())
