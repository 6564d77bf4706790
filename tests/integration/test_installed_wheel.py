"""The wheel in an environment that has packages of its own named as ours are."""

import json
import os
import site
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from pravah.settings import Settings
from tests.integration.test_event_producer import Topic, event

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["root_packages"]
# What the user has: `settings`, and a package for each of ours but the public one.
USERS = sorted({"settings", *PACKAGES} - {"pravah"})


class Environment:
    """A virtual environment with the wheel, the user's packages, and the dependencies of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        wheels = folder / "wheels"
        _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)], ROOT)
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (wheel,) = wheels.glob("*.whl")
        _run(
            [
                *(sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install"),
                *("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)),
            ],
            folder,
        )
        # Dependencies come from the environment of the tests; a path in a .pth file does not
        # process that environment's own .pth files, so ours is not found by way of it.
        (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
        self.work = folder / "work"
        for place in (packages, self.work):  # installed, and in the current folder
            for name in USERS:
                (place / name).mkdir(parents=True)
                (place / name / "__init__.py").write_text("MARKER = 'the user\\'s own'\n")

    def python(self, code: str) -> str:
        return _run([str(self.bin / "python"), "-c", code], self.work)

    def pravah(self, *arguments: str) -> str:
        return _run([str(self.bin / "pravah"), *arguments], self.work)


def _run(command: list[str], folder: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PRAVAH_", "PYTHON"))
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("installed"))


def test_the_users_packages_and_ours_can_be_imported(environment: Environment) -> None:
    code = f"""
import importlib, json
from pravah import Client, EventProducer, Settings
import pravah
print(json.dumps([pravah.__file__, *[importlib.import_module(n).MARKER for n in {USERS!r}]]))
"""
    file, *markers = json.loads(environment.python(code))
    assert Path(file).is_relative_to(environment.folder)
    assert markers == ["the user's own"] * len(USERS)


def test_the_wheel_adds_one_package_to_the_environment(environment: Environment) -> None:
    (packages,) = (environment.folder / "venv" / "lib").glob("python*/site-packages")
    names = {path.name for path in packages.iterdir()} - {*USERS, "dependencies.pth"}
    assert {name for name in names if not name.endswith(".dist-info")} == {"pravah"}
    assert (packages / "pravah" / "py.typed").exists()


@pytest.mark.parametrize("name", ["reference/registry", "reports/fonts", "grafana/generated"])
def test_the_wheel_has_the_data_of_its_packages(environment: Environment, name: str) -> None:
    (application,) = (environment.folder / "venv").glob("lib/*/site-packages/pravah/_application")
    listed = _run(["git", "ls-files", *PACKAGES], ROOT).splitlines()
    tracked = [file for file in listed if (ROOT / file).exists() and not file.endswith(".py")]
    assert [file for file in tracked if name in file]
    for file in tracked:
        place = application.parent.parent if file.startswith("pravah/") else application
        assert (place / file).exists(), file


def test_the_command_runs_and_so_do_the_processes_that_it_starts(environment: Environment) -> None:
    for arguments in (["--help"], ["worker", "--help"], ["units", "check"]):
        assert environment.pravah(*arguments)
    log = environment.folder / "worker.log"
    code = f"""
import sys
from pathlib import Path
sys.argv = ["pravah", "--help"]
from pravah.__main__ import main
try:
    main()
except SystemExit:
    pass
from operations.worker_processes import start_worker
from pravah import Settings
started = start_worker(Settings(), Path({str(log)!r}), program=("-m", "pravah", "worker", "--help"))
assert started.wait() == 0, Path({str(log)!r}).read_text()
"""
    environment.python(code)
    assert "--processes" in log.read_text(encoding="utf-8")


def test_an_event_is_sent_from_that_environment(
    environment: Environment, services: Settings
) -> None:
    topic = Topic(services.kafka, 3)
    code = f"""
import api, cli, schemas, settings
from pravah import EventProducer, KafkaSettings
kafka = KafkaSettings(bootstrap_servers={services.kafka.bootstrap_servers!r})
with EventProducer(kafka, topic={topic.name!r}) as producer:
    sent = producer.send({event("installed")!r})
print(sent.entity_name)
"""
    try:
        assert environment.python(code) == "installed\n"
        (value,) = topic.values()
        assert json.loads(value or b"") == event("installed")
    finally:
        topic.delete()
