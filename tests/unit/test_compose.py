"""docker-compose.yml and its mounts, checked against the rest without running a container."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from typer.testing import CliRunner

from cli.main import app
from grafana.files import PASSWORD
from pravah.settings import Settings
from producers.gateway.sources import read_field_sources
from schemas.readers import SETTING_LIMITS, SETTINGS
from stack import clickhouse_accounts, clickhouse_server
from stack.kafka_server import _PROPERTIES

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict] = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / "docker" / "example.env").read_text(encoding="utf-8").splitlines()
    if re.match(r"[A-Z_]+=", line)
)
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("pravah:")]


def test_every_mounted_file_exists_and_every_volume_is_declared() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (
                (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            ), (name, volume)


def test_no_file_has_a_password_and_the_example_has_every_variable() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r"(PASSWORD|TOKEN|SECRET|KEY)\w*:", line):
            assert re.search(r": \$\{\w+(:\?[^}]+|:-)\}$", line), line
    assert set(re.findall(r"\$\{(\w+)", text)) == EXAMPLE.keys(), (
        "docker/example.env has each variable that is used, and no other"
    )
    assert not [
        name
        for name, value in EXAMPLE.items()
        if value and re.search("PASSWORD|TOKEN|SECRET|KEY", name)
    ]
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_environment_variables_are_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = {f"PRAVAH_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        environment = _environment(name)
        for variable in environment:
            assert variable.partition("__")[0] in known | {"PRAVAH_SCRIPT_SECRET"}, (name, variable)
        with monkeypatch.context() as context:
            for variable in [variable for variable in os.environ if variable.startswith("PRAVAH_")]:
                context.delenv(variable)
            context.setenv("PRAVAH_HOME", str(tmp_path))
            for variable, value in environment.items():
                context.setenv(
                    variable,
                    re.sub(r"\$\{\w+(:\?[^}]*|:-)\}", "abcdefghijklmnopqrstuvwx", str(value)),
                )
            settings = Settings()
        assert settings.clickhouse.host == "clickhouse"
        assert settings.kafka.bootstrap_servers == "kafka:9092"
        assert ("writer" in settings.clickhouse.users) == (name != "provisioning"), (
            "the service that writes files for Grafana needs no right to write figures"
        )


def _environment(name: str) -> dict:
    return SERVICES[name]["environment"]


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_their_options_are_there(name: str) -> None:
    command = SERVICES[name]["command"]
    if SERVICES[name].get("entrypoint"):
        command = command[0].removeprefix("exec pravah ").split(" --")[0].split() + re.findall(
            r"--(?:events|from|to)\b", command[0]
        )
    words = [word for word in command if not word.startswith("-")]
    path = words[:2] if words[0] == "grafana" else words[:1]
    shown = CliRunner(env={"COLUMNS": "300"}).invoke(app, [*path, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in (word for word in command if word.startswith("--")):
        assert option in shown.output, (name, option)


def test_ports_of_health_checks_are_those_that_are_served() -> None:
    for name, port in (("gateway", "8090"), ("api", "8080")):
        assert SERVICES[name]["command"][-1] == port
        assert f":{port}/healthz" in SERVICES[name]["healthcheck"]["test"][-1]
        assert SERVICES[name]["ports"] == [f"${{PRAVAH_BIND:-127.0.0.1}}:{port}:{port}"]
    assert (
        f":{_environment('worker')['PRAVAH_WORKER_PORT']}/healthz"
        in SERVICES["worker"]["healthcheck"]["test"][-1]
    )
    scraped = yaml.safe_load(
        (ROOT / "docker" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )["scrape_configs"]
    assert scraped[0]["dns_sd_configs"][0]["port"] == _environment("worker")["PRAVAH_WORKER_PORT"]
    assert scraped[1]["static_configs"][0]["targets"] == ["gateway:8090"]


def test_images_are_pinned_servers_are_inside_and_everything_that_stays_is_watched() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]
        assert "mem_limit" in service
        if service["restart"] == "unless-stopped":
            assert service["healthcheck"]["test"], name
        if "ports" in service:
            assert all(port.startswith("${PRAVAH_BIND:-127.0.0.1}:") for port in service["ports"])
        else:
            assert service["networks"] == ["inside"], name
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert re.fullmatch(
        r"grafana-clickhouse-datasource \d+\.\d+\.\d+",
        _environment("grafana")["GF_INSTALL_PLUGINS"],
    )
    for name in OURS:
        assert (SERVICES[name]["read_only"], SERVICES[name]["cap_drop"]) == (True, ["ALL"])


def test_clickhouses_accounts_are_those_of_the_embedded_server() -> None:
    root = ET.parse(ROOT / "docker" / "clickhouse" / "users.xml").getroot()  # noqa: S314
    users, reader = root.find("users"), root.find("profiles/reader")
    assert users is not None
    assert reader is not None
    for role, grants in clickhouse_accounts.GRANTS.items():
        account = users.find(f"pravah_{role}")
        assert account is not None
        assert [query.text for query in account.iterfind("grants/query")] == list(grants)
        assert account.findtext("profile") == ("default" if role == "writer" else "reader")
        password = account.find("password")
        assert password is not None
        assert not password.text
        assert password.get("from_env") in SERVICES["clickhouse"]["environment"]
    assert users.findtext("pravah_aicc/databases/pravah/contacts/filter") == "0"
    removed = users.find("default")
    assert removed is not None
    assert removed.get("remove") == "remove"
    assert users.find(".//no_password") is None, "no account without a secret"
    for name, value in SETTINGS.items():
        assert reader.findtext(name) == str(value), name
    limits = {one.tag: one.findtext("max") for one in reader.iterfind("constraints/*")}
    assert limits == {
        name: None if limit is None else str(limit) for name, limit in SETTING_LIMITS.items()
    }
    assert len(reader) == len(SETTINGS) + 1
    setting = "users_without_row_policies_can_read_rows"
    assert f"<{setting}>true</{setting}>" in (
        ROOT / "docker" / "clickhouse" / "config.xml"
    ).read_text(encoding="utf-8")
    assert f"<{setting}>true</{setting}>" in clickhouse_server._CONFIG


def test_the_broker_has_the_embedded_broker_s_limits() -> None:
    embedded = dict(line.split("=", 1) for line in _PROPERTIES.strip().splitlines())
    environment = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in _environment("kafka").items()
        if name.startswith("KAFKA_")
    }
    for name in (
        "message.max.bytes",
        "replica.fetch.max.bytes",
        "auto.create.topics.enable",
        "process.roles",
        "offsets.topic.replication.factor",
    ):
        assert environment[name] == embedded[name], name


def test_grafana_gets_the_variables_that_its_files_use(monkeypatch: pytest.MonkeyPatch) -> None:
    given = _environment("grafana")
    assert PASSWORD[2:-1] in given
    assert {name for name in given if name.startswith("PRAVAH_ALERT")} == {
        name for name in _environment("provisioning") if name.startswith("PRAVAH_ALERT")
    }
    assert given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(
        "/etc/grafana/provisioning/dashboards/json/"
    )
    monkeypatch.setenv("PRAVAH_SCRIPT_SECRET", "abcdefghijklmnopqrstuvwx")
    assert list(read_field_sources(ROOT / "docker" / "sources")) == ["script"]


def test_the_image_is_built_from_the_lock_file_and_is_not_root() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements/runtime.txt" in text
    assert text.rindex("USER 10001") > text.rindex("RUN ")
    minor = int(re.findall(r"FROM python:3\.(\d+)", text)[-1])
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    low, high = (int(number) for number in re.findall(r"3\.(\d+)", supported))
    assert low <= minor < high
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".env", ".git", ".pravah"} <= set(ignored)
    for wanted in (
        "requirements",
        "reference",
        "grafana",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        assert wanted not in ignored


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed"
)
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(
        "".join(
            f"{name}={value or 'abcdefghijklmnopqrstuvwx'}\n" for name, value in EXAMPLE.items()
        )
    )
    command = [
        "docker-compose",
        "--env-file",
        str(tmp_path / "env"),
        "--project-directory",
        str(ROOT),
        "-f",
        str(ROOT / "docker-compose.yml"),
        "config",
        "--quiet",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    empty = subprocess.run(
        [*command[:1], *command[3:]],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
    )
    assert "docker/example.env" in empty.stderr, (
        "without passwords it names the file they belong in"
    )
