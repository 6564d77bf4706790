"""Provisioning against a stand-in that answers as Grafana does, and the same as files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from grafana.client import GrafanaError
from grafana.desired import DesiredState
from grafana.files import provisioning_files
from grafana.notifications import Contacts
from pravah.settings import ClickHouseSettings, ClickHouseUser
from tests.support.grafana_stand_in import ADMIN, PASSWORD, TOKEN, StandIn, serving

SECRETS = {
    "PRAVAH_GRAFANA_TOKEN": TOKEN,
    "PRAVAH_CLICKHOUSE__USERS": (
        '{"grafana": {"user": "pravah_grafana", "password": "secret of clickhouse"}, "aicc":'
        ' {"user": "a", "password": "secret of clickhouse"}}'
    ),
    "PRAVAH_CLICKHOUSE__SCOPED": (
        '{"CG-D-NRP": {"user": "pravah_CG-D-NRP", "password": "secret of clickhouse"}}'
    ),
    "PRAVAH_ALERT_WEBHOOK": "https://hooks.example.org/T0/secret-path",
    "PRAVAH_ALERT_EMAIL": "room@example.org",
    "PRAVAH_ALERT_TELEGRAM_TOKEN": "12345:secret-of-the-bot",
    "PRAVAH_ALERT_TELEGRAM_CHAT": "-100",
}


@pytest.fixture
def grafana() -> StandIn:
    return StandIn()


@pytest.fixture
def url(grafana: StandIn) -> Iterator[str]:
    with serving(grafana) as address:
        yield address


@pytest.fixture
def run(tmp_path: Path) -> CliRunner:
    return CliRunner(env={**SECRETS, "PRAVAH_HOME": str(tmp_path / "none"), "COLUMNS": "200"})


def test_a_second_run_changes_nothing_and_a_dry_run_never_does(
    grafana: StandIn, url: str, run: CliRunner
) -> None:
    planned = run.invoke(app, ["grafana", "provision", "--url", url, "--dry-run", "--json"])
    assert planned.exit_code == 0, planned.output
    assert grafana.writes == []
    first = run.invoke(app, ["grafana", "provision", "--url", url, "--json"])
    assert first.exit_code == 0, first.output
    assert json.loads(first.output)["changes"] == json.loads(planned.output)["changes"]
    assert {one["kind"] for one in json.loads(first.output)["changes"]} == {
        *(
            "datasource",
            "folder",
            "dashboard",
            "template",
            "mute timing",
            "contact point",
            "policy",
            "rules",
        )
    }
    done = len(grafana.writes)
    second = run.invoke(app, ["grafana", "provision", "--url", url])
    assert second.exit_code == 0, second.output
    assert len(grafana.writes) == done
    assert "17 of 17 were as they should be" in second.output
    assert run.invoke(app, ["grafana", "diff", "--url", url]).exit_code == 0
    assert grafana.kept[1]["datasource"]["pravah-clickhouse"]["secureJsonData"] == {
        "password": "secret of clickhouse"
    }


def test_no_secret_is_shown(url: str, run: CliRunner) -> None:
    shown = "".join(
        run.invoke(app, ["grafana", *command]).output
        for command in (
            ["provision", "--url", url, "--dry-run"],
            ["diff", "--url", url],
            ["provision", "--url", url],
            ["diff", "--url", url],
            ["accounts", "--sql", "CG-D-NRP"],
        )
    )
    wanted = DesiredState(
        "state",
        ClickHouseSettings(),
        ClickHouseUser(user="u", password=SecretStr("secret of clickhouse")),
        Contacts("https://secret", "e", "secret", "1"),
    )
    shown += (
        repr(wanted)
        + repr(wanted.resources())
        + repr(Contacts("https://secret", None, "secret", "1"))
    )
    for value in ("secret", TOKEN):
        assert value not in shown


def test_what_was_changed_by_hand_is_shown_fetched_and_set_right(
    grafana: StandIn, url: str, run: CliRunner, tmp_path: Path
) -> None:
    assert run.invoke(app, ["grafana", "provision", "--url", url]).exit_code == 0
    assert (
        run.invoke(
            app, ["grafana", "pull", "--url", url, "--to", str(tmp_path / "pulled")]
        ).exit_code
        == 0
    )
    wall = grafana.kept[1]["dashboard"]["pravah-wall"]
    wall["title"] = "By hand"
    wall["panels"].append({"id": 99, "type": "text", "title": "also by hand"})
    grafana.kept[1]["rule"]["pravah-lag"]["for"] = "1d"
    grafana.kept[1]["folder"]["pravah"]["title"] = "Other"
    found = run.invoke(app, ["grafana", "diff", "--url", url])
    assert found.exit_code == 1
    assert '- "title": "By hand"' in found.output
    assert "also by hand" in found.output
    assert "rules pravah operations: differs" in found.output
    pulled = run.invoke(app, ["grafana", "pull", "--url", url, "--to", str(tmp_path / "pulled")])
    assert pulled.exit_code == 1
    assert "1 of 7 dashboards were changed by hand" in pulled.output
    assert json.loads((tmp_path / "pulled" / "pravah-wall.json").read_text())["title"] == "By hand"
    repaired = run.invoke(app, ["grafana", "provision", "--url", url])
    assert repaired.output.count("changed:") == 3, repaired.output
    assert run.invoke(app, ["grafana", "diff", "--url", url]).exit_code == 0


def test_a_rule_that_we_do_not_want_any_more_goes_and_others_folders_stay(
    grafana: StandIn, url: str, run: CliRunner
) -> None:
    run.invoke(app, ["grafana", "provision", "--url", url])
    grafana.kept[1]["rule"]["old"] = {**grafana.kept[1]["rule"]["pravah-lag"], "uid": "old"}
    grafana.kept[1]["rule"]["theirs"] = {
        **grafana.kept[1]["rule"]["pravah-lag"],
        "uid": "theirs",
        "ruleGroup": "theirs",
    }
    assert run.invoke(app, ["grafana", "diff", "--url", url]).exit_code == 1
    run.invoke(app, ["grafana", "provision", "--url", url])
    assert "old" not in grafana.kept[1]["rule"]
    assert "theirs" in grafana.kept[1]["rule"]


def test_a_password_that_no_longer_works_is_set_again(
    grafana: StandIn, url: str, run: CliRunner
) -> None:
    run.invoke(app, ["grafana", "provision", "--url", url])
    grafana.kept[1]["datasource"]["pravah-clickhouse"]["secureJsonData"] = {"password": "old"}
    again = run.invoke(app, ["grafana", "provision", "--url", url])
    assert "changed: datasource pravah-clickhouse" in again.output
    assert "16 of 17" in again.output
    assert "17 of 17" in run.invoke(app, ["grafana", "provision", "--url", url]).output


def test_each_audience_has_an_organisation_an_account_and_dashboards_of_its_own(
    grafana: StandIn, url: str, run: CliRunner
) -> None:
    admin = {
        "PRAVAH_GRAFANA_USER": ADMIN,
        "PRAVAH_GRAFANA_PASSWORD": PASSWORD,
        "PRAVAH_GRAFANA_TOKEN": "",
    }
    for arguments in (
        ["--org", "Narayanpur", "--audience", "district", "--unit", "CG-D-NRP"],
        ["--org", "AICC", "--audience", "aicc"],
        ["--org", "Chhattisgarh / CG"],
    ):
        made = run.invoke(app, ["grafana", "provision", "--url", url, *arguments], env=admin)
        assert made.exit_code == 0, made.output
    assert grafana.orgs.keys() == {"Main Org.", "Narayanpur", "AICC", "Chhattisgarh / CG"}
    district, aicc, state = (
        grafana.kept[grafana.orgs[name]] for name in ("Narayanpur", "AICC", "Chhattisgarh / CG")
    )
    assert district["datasource"]["pravah-clickhouse"]["jsonData"]["username"] == "pravah_CG-D-NRP"
    assert not {"pravah-wall", "pravah-pipeline", "pravah-aicc"} & district["dashboard"].keys()
    assert "pravah-aicc" in aicc["dashboard"]
    assert "rule" not in aicc | district
    assert len(state["rule"]) == 8
    assert grafana.kept[1] == {}
    again = run.invoke(
        app,
        [
            "grafana",
            "provision",
            "--url",
            url,
            "--org",
            "Narayanpur",
            "--audience",
            "district",
            "--unit",
            "CG-D-NRP",
        ],
        env=admin,
    )
    assert "7 of 7" in again.output


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (
            [],
            {"PRAVAH_GRAFANA_TOKEN": "wrong"},
            "401 Invalid API key; the token needs the role Admin",
        ),
        ([], {"PRAVAH_GRAFANA_TOKEN": ""}, "set PRAVAH_GRAFANA_TOKEN"),
        (["--org", "New"], {}, "making one takes the administrator's PRAVAH_GRAFANA_USER"),
        (["--audience", "district"], {}, "which district?"),
        (
            ["--audience", "district", "--unit", "CG-D-XXX"],
            {},
            "`pravah grafana accounts CG-D-XXX` makes one",
        ),
        (["--url", "http://127.0.0.1:1/"], {}, "no Grafana answers at http://127.0.0.1:1/"),
        (["--url", "http://me:secret@127.0.0.1/"], {}, "a name or password has no place in it"),
        (["--url", "127.0.0.1"], {}, "http:// or https://"),
    ],
)
def test_errors_are_one_line(
    url: str, run: CliRunner, arguments: list[str], environment: dict, said: str
) -> None:
    result = run.invoke(
        app,
        [
            "grafana",
            "provision",
            *(arguments if "--url" in arguments else ["--url", url, *arguments]),
        ],
        env=environment,
    )
    assert result.exit_code != 0
    output = result.output + str(result.exception)
    assert said in " ".join(output.replace("│", " ").split())
    assert isinstance(result.exception, SystemExit | GrafanaError | LookupError)


def test_a_token_comes_from_a_file_too(url: str, run: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    result = run.invoke(
        app,
        ["grafana", "provision", "--url", url, "--token-file", str(tmp_path / "token")],
        env={"PRAVAH_GRAFANA_TOKEN": "wrong"},
    )
    assert result.exit_code == 0, result.output
    piped = run.invoke(
        app,
        ["grafana", "provision", "--url", url, "--token-file", "-"],
        input=f"{TOKEN}\n",
        env={"PRAVAH_GRAFANA_TOKEN": ""},
    )
    assert piped.exit_code == 0, piped.output
    assert "17 of 17" in piped.output


def test_a_server_that_is_not_grafana_is_reported(url: str, run: CliRunner) -> None:
    result = run.invoke(
        app, ["grafana", "provision", "--url", url.replace("/grafana/", "/elsewhere/")]
    )
    assert "404 Not found" in str(result.exception)


# --- files


def read_as_grafana_does(text: str, environment: dict[str, str]) -> dict:
    """YAML with `$$` and `${NAME}` replaced, except in a rule's query and annotations.

    See grafana/grafana#54975; a Grafana 9.4 does the same.
    """

    def expanded(value):
        if isinstance(value, dict):
            return {
                name: item if name in {"model", "annotations"} else expanded(item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [expanded(item) for item in value]
        if not isinstance(value, str):
            return value
        parts = value.split("$$")
        for name, known in environment.items():
            parts = [part.replace(f"${{{name}}}", known) for part in parts]
        assert not any("$" in part for part in parts), value
        return "$".join(parts)

    return expanded(yaml.safe_load(text))


def test_the_files_say_the_same_as_the_api(run: CliRunner, tmp_path: Path) -> None:
    first = run.invoke(
        app,
        [
            "grafana",
            "files",
            "--to",
            str(tmp_path),
            "--clickhouse-host",
            "clickhouse",
            "--clickhouse-port",
            "9000",
            "--prometheus",
            "http://prometheus:9090",
        ],
    )
    assert first.exit_code == 0, first.output
    everything = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.*"))
    assert "secret" not in everything.replace("secretsure", "")
    assert TOKEN not in everything
    environment = {
        name: value for name, value in SECRETS.items() if name.startswith("PRAVAH_ALERT")
    } | {"PRAVAH_CLICKHOUSE_PASSWORD": "pass-word"}
    read = {
        path.stem: read_as_grafana_does(path.read_text(encoding="utf-8"), environment)
        for path in tmp_path.rglob("*.yaml")
        if path.parent.name == "alerting"
    }
    contacts = Contacts(
        SECRETS["PRAVAH_ALERT_WEBHOOK"],
        "room@example.org",
        SECRETS["PRAVAH_ALERT_TELEGRAM_TOKEN"],
        "-100",
    )
    account = ClickHouseUser(user="pravah_grafana", password=SecretStr("pass-word"))
    wanted = DesiredState(
        "state", ClickHouseSettings(host="clickhouse"), account, contacts, "http://prometheus:9090"
    ).resources()
    rules = {
        rule["uid"]: rule for one in wanted if one.kind == "rules" for rule in one.content["rules"]
    }
    written = {rule["uid"]: rule for group in read["rules"]["groups"] for rule in group["rules"]}
    assert written.keys() == rules.keys()
    for uid, rule in written.items():
        assert rule == {
            name: value
            for name, value in rules[uid].items()
            if name not in {"folderUID", "ruleGroup"}
        }
    assert [one["settings"] for one in read["contact-points"]["contactPoints"][0]["receivers"]] == [
        one.content["settings"] for one in wanted if one.kind == "contact point"
    ]
    assert read["policies"]["policies"][0] == {
        "orgId": 1,
        **next(one.content for one in wanted if one.kind == "policy"),
    }
    source = read_as_grafana_does(
        (tmp_path / "datasources" / "pravah.yaml").read_text(), environment
    )["datasources"][0]
    assert source["secureJsonData"] == {"password": "pass-word"}
    assert source["jsonData"]["host"] == "clickhouse"
    for one in wanted:
        if one.kind == "dashboard":
            assert (
                json.loads(
                    (tmp_path / "dashboards" / "json" / f"{one.uid}.json").read_text(
                        encoding="utf-8"
                    )
                )
                == one.content
            )
    assert (
        run.invoke(
            app,
            [
                "grafana",
                "files",
                "--to",
                str(tmp_path),
                "--clickhouse-host",
                "clickhouse",
                "--prometheus",
                "http://prometheus:9090",
            ],
        ).output.strip()
        == "nothing changed"
    )


def test_a_district_has_files_without_alerts() -> None:
    files = provisioning_files(
        DesiredState(
            "district", ClickHouseSettings(), ClickHouseUser(user="u", password=SecretStr("p"))
        ),
        "/dashboards",
    )
    assert not any(path.parts[0] == "alerting" for path in files)
