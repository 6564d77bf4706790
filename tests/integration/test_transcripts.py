"""The pages that a newcomer follows: every command and every block of Python does what they show.

With PRAVAH_WRITE_TRANSCRIPTS in the environment (`make transcripts`) outputs that differ are
written into the pages.
"""

import ast
import contextlib
import gc
import io
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from operations.worker_processes import worker_environment
from pravah.settings import Settings
from tests.support.deployment import Deployment, empty, until
from tests.support.transcripts import Step, Terminal, matches, read_steps, write_outputs

DOCS = Path(__file__).parents[2] / "docs"
FIRST_HOUR, AICC = DOCS / "first-hour.md", DOCS / "aicc.md"
WRITES = "PRAVAH_WRITE_TRANSCRIPTS" in os.environ
# Addresses on the pages.
API_PORT, API_URL = 8080, "https://pravah.cg.example"
BLOCK = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Hour:
    """The first hour, after its last command."""

    steps: list[Step]
    codes: list[int]
    outputs: list[str]
    api: str
    token: str


@pytest.fixture(scope="module")
def hour(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hour]:
    """Run the page's commands, on servers that are up and empty."""
    empty(services)
    settings = services.model_copy(update={"consumer_group": f"test-{time.time_ns()}"})
    folder = tmp_path_factory.mktemp("first-hour")
    deployment = Deployment(settings, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shown = {
        str(settings.home.resolve()): ".pravah",
        settings.kafka.bootstrap_servers: "127.0.0.1:9092",
        f"127.0.0.1:{settings.clickhouse.native_port}": "127.0.0.1:9000",
        f"127.0.0.1:{port}": f"127.0.0.1:{API_PORT}",
    }
    steps = read_steps(FIRST_HOUR.read_text(encoding="utf-8"))
    codes, outputs = [], []
    with Terminal(folder, worker_environment(settings)) as terminal:
        for step in steps:
            command = step.command.replace(str(API_PORT), str(port))
            if step.is_in_background:
                terminal.start(command)
                code, output = 0, ""
            else:
                code, output = terminal.run(command)
            if command.startswith("pravah import"):
                deployment.wait_until_rolled_up()
            if command.startswith("pravah api --port"):
                until(lambda: can_connect(port), "the API")
            for real, name in shown.items():
                output = output.replace(real, name)
            codes.append(code)
            outputs.append(output)
        token = (folder / "token").read_text(encoding="utf-8").strip()
        yield Hour(steps, codes, outputs, f"http://127.0.0.1:{port}", token)
    deployment.stop()


def can_connect(port: int) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return False


def test_the_first_hour_is_as_the_page_shows(hour: Hour) -> None:
    runs = zip(hour.steps, hour.codes, hour.outputs, strict=True)
    failed = [f"$ {step.command}\n{output}" for step, code, output in runs if code]
    assert not failed, "\n".join(failed)
    shown = [
        step.output if matches(step.output, output) else output
        for step, output in zip(hour.steps, hour.outputs, strict=True)
    ]
    if WRITES:
        page = FIRST_HOUR.read_text(encoding="utf-8")
        FIRST_HOUR.write_text(write_outputs(page, shown), encoding="utf-8")
    for step, output in zip(hour.steps, shown, strict=True):
        assert WRITES or output == step.output, f"$ {step.command}"


def test_the_first_hour_goes_from_the_stack_to_the_api() -> None:
    commands = [step.command for step in read_steps(FIRST_HOUR.read_text(encoding="utf-8"))]
    for wanted in ("up", "worker", "import", "units find", "explain", "report", "api --port"):
        assert any(command.startswith(f"pravah {wanted}") for command in commands), wanted
    assert any(command.startswith("curl") for command in commands)


# A script that ends need not close its connections.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_python_of_the_page_for_headquarters_runs(
    hour: Hour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRAVAH_TOKEN", hour.token)
    monkeypatch.setenv("POLARS_TABLE_WIDTH", "100")
    page = AICC.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    outputs = []
    for code, _ in BLOCK.findall(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code.replace(API_URL, hour.api), names)  # noqa: S102
        outputs.append(printed.getvalue())
    names.clear()
    gc.collect()
    if WRITES:
        found = iter(outputs)
        page = BLOCK.sub(lambda one: f"```python\n{one[1]}```\n\n```text\n{next(found)}```", page)
        AICC.write_text(page, encoding="utf-8")
    assert outputs == [output for _, output in BLOCK.findall(page)]


def test_the_table_takes_ten_lines_and_three_statements_with_the_client() -> None:
    page = AICC.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == page.count("```python"), "every block has its output"
    (first, _), (second, _), *_ = BLOCK.findall(page)
    assert len([line for line in first.splitlines() if line]) == 10
    assert len(ast.parse(second).body) == 3
