"""The look for known vulnerabilities finds them, and never fails or waits without a network."""

import http.server
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import advisories

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A server that answers 404 to everything."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def audit(output: object) -> list[str]:
    """A command that writes what pip-audit writes."""
    text = output if isinstance(output, str) else json.dumps(output)
    return [sys.executable, "-c", f"print({text!r})"]


def found(*vulnerabilities: dict) -> dict:
    return {"dependencies": [{"name": "x", "version": "1.0", "vulns": list(vulnerabilities)}]}


def test_without_a_network_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert advisories.main(address, ["never started"]) == 0
    output = capsys.readouterr().out
    assert output == (
        f"advisories: could not look for vulnerabilities, {address} does not answer\n"
    )


def test_a_server_that_never_answers_is_waited_for_a_moment_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not advisories.is_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.2)
        assert time.monotonic() - started < 2
    assert advisories.PROBE_SECONDS <= 3


@pytest.mark.parametrize("output", ["", "Traceback", "[]", "{}"])
def test_an_audit_that_breaks_off_is_no_finding(
    service: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advisories.main(service, audit(output)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("advisories: could not look for vulnerabilities, pip-audit failed")


def test_a_vulnerability_fails_the_check_and_is_named(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}
    assert advisories.main(service, audit(found(known))) == 1
    assert capsys.readouterr().out == (
        "advisories: x 1.0 has PYSEC-2026-1, fixed in 1.1; run `make lock`\n"
    )


def test_nothing_found_is_said(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert advisories.main(service, audit(found())) == 0
    assert capsys.readouterr().out == "advisories: none for 1 locked requirements\n"


def test_make_check_looks_and_the_tool_is_locked_with_hashes() -> None:
    check = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2]
    assert "-m tests.advisories" in check.partition("\n\n")[0]
    locked = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in locked.partition("\npip-audit==")[2].partition("\n")[2][:100]
