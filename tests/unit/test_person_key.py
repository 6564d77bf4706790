"""The key of the hashes that stand for persons goes only to what makes such hashes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from operations import worker_processes
from pravah.child_environment import PERSON_VARIABLES, child_environment
from pravah.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("api", "cli", "columnar", "doctor", "grafana", "operations", "pravah", "producers"),
    *("reference", "replica", "reports", "rollup", "schemas", "sinks", "stack", "streams"),
)
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
KEY, OLD_KEY = "the key of an installation", "an older key of the installation"
# Functions that start a program
STARTS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "os": {"execv", "execve", "execvp", "execvpe", "execl", "execle", "spawnv", "system", "popen"},
}
# May read the key from the settings: what hashes, and what says that it is missing
READERS = {
    "producers/mapping/pseudonyms.py",
    "doctor/rules/settings.py",
    "pravah/settings.py",
}


@pytest.fixture
def with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAVAH_PERSON_KEY", KEY)
    monkeypatch.setenv("PRAVAH_PERSON_KEYS_OLD", f'["{OLD_KEY}"]')
    monkeypatch.setenv("pravah_person_key", KEY)


@pytest.mark.usefixtures("with_keys")
def test_the_environment_of_children_has_all_but_the_keys() -> None:
    environment = child_environment()
    assert KEY not in environment.values()
    assert OLD_KEY not in str(environment)
    kept = {name for name in os.environ if name.upper() not in PERSON_VARIABLES}
    assert environment.keys() == kept
    settings = {f"PRAVAH_{name.upper()}" for name in Settings.model_fields if "person" in name}
    assert settings == PERSON_VARIABLES


@pytest.mark.usefixtures("with_keys")
def test_workers_start_without_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, env, **__: given.append(env))
    settings = Settings(home=tmp_path)
    assert settings.person_key is not None
    worker_processes.start_worker(settings, tmp_path / "log", environment={"MORE": "1"})
    worker_processes._start_one(settings, 0)
    assert len(given) == 2
    for environment in given:
        assert "PATH" in environment
        assert KEY not in str(environment)
        assert OLD_KEY not in str(environment)


def test_every_process_that_is_started_gets_an_environment_without_the_keys() -> None:
    without_keys = {"child_environment()", "worker_environment(settings)"}
    found = 0
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner, name = ast.unparse(node.func.value), node.func.attr
            if name in STARTS.get(owner, ()):
                found += 1
                passed = [ast.unparse(keyword.value) for keyword in node.keywords]
                passed += [ast.unparse(argument) for argument in node.args]
                assert any(one in text for text in passed for one in without_keys), (
                    f"{module.relative_to(ROOT)}:{node.lineno} passes its own environment on"
                )
    assert found >= 8


def test_only_what_hashes_reads_the_key_from_the_settings() -> None:
    readers = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.target.id
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
                else ""
            )
            if name in {"person_key", "person_keys_old"}:
                readers.add(module.relative_to(ROOT).as_posix())
    assert readers == READERS


def test_only_the_gateway_has_the_key_in_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    having = {
        name
        for name, service in compose["services"].items()
        if PERSON_VARIABLES & set(service.get("environment", {}))
    }
    assert having == {"gateway"}


@pytest.mark.usefixtures("with_keys")
def test_no_text_of_the_settings_shows_the_keys(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert KEY not in text
        assert OLD_KEY not in text


def test_a_key_that_is_refused_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAVAH_PERSON_KEY", "too short 77")
    done = subprocess.run(
        [sys.executable, "-m", "pravah", "status"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "PRAVAH_PERSON_KEY" in done.stdout + done.stderr
    assert "too short 77" not in done.stdout + done.stderr
