"""Reconciling pulls: after a pull, the figures are those of the submissions at the tool.

Hooks are lost, repeated and out of order before.
"""

import os
import random
import threading
from pathlib import Path

import pytest

from producers.gateway.sources import FieldSourcesError, read_field_sources
from producers.gateway.telemetry import Telemetry
from producers.pulls import schedule as schedule_module
from producers.pulls.options import find_config_errors, open_paginator
from producers.pulls.pagination import PullError
from producers.pulls.pull import pull
from producers.pulls.schedule import PullScheduler
from tests.support import oracle, small_world
from tests.support.deployment import until
from tests.support.pull_world import (
    TOKENS,
    TOOLS,
    VISIT,
    at_once,
    events_of,
    known,
    names_at,
    open_without_flushes,
    rolled_up,
    run_stand_in,
    shown,
    totals,
    write_source,
)
from tests.support.standins import kobo, people
from tests.support.standins.server import Request, Response

# Random histories per tool, and actions per history; raise them for a long run.
SEEDS, STEPS = int(os.environ.get("PULL_SEEDS", "4")), int(os.environ.get("PULL_STEPS", "60"))


@pytest.fixture(autouse=True)
def _without_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cuts are tested elsewhere."""
    monkeypatch.setattr("producers.outbox.file.open_file", open_without_flushes)


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("small")))


class KilledError(Exception):
    """The process was killed."""


def raise_killed(_: object) -> None:
    raise KilledError


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("tool", TOOLS)
def test_after_the_pulls_the_figures_are_those_of_the_submissions_at_the_tool(
    tool: str, seed: int, tmp_path: Path, hierarchy: oracle.Hierarchy
) -> None:
    """Random faults do not change the figures.

    A tenth of the hooks are lost, a tenth arrive twice, many late and out of order. Responses fail,
    pages are small, submissions change meanwhile, pulls are killed, the gateway restarts.
    """
    rng = random.Random(f"{tool} {seed}")
    options = {"trouble": 0.1, "hooks_dropped": 0.1, "page": rng.choice([2, 5, 50])}
    with run_stand_in(tool, tmp_path, rng=rng, **options) as (stand_in, gateway, clock):

        def meanwhile(_: Request) -> None:
            if rng.random() < 0.2:
                clock.advance(rng.choice([0, 0.3, 20]))
                people.act(stand_in, rng)

        stand_in.before = meanwhile
        for _ in range(STEPS):
            clock.advance(rng.choice([0, 0, 0.2, 1, 40, 400]))
            people.act(stand_in, rng)
            if rng.random() < 0.5:
                is_down = rng.random() < 0.1
                stand_in.send_hooks(
                    lambda _: 503 if is_down else 200  # noqa: B023
                ) if is_down else stand_in.send_hooks(gateway.hook)
            if rng.random() < 0.08:
                try:
                    gateway.pull(
                        clock,
                        **rng.choice(
                            [{}, {}, {"on_progress": raise_killed}, {"from_beginning": True}]
                        ),
                    )
                except KilledError:
                    gateway.restart()
        stand_in.before = lambda _: None
        clock.advance(600)
        gateway.pull(clock)
        stand_in.send_hooks(
            gateway.hook, all_of_them=True
        )  # the last of them arrive days later, and change nothing
        expected = oracle.figures(events_of(stand_in), hierarchy)
        figures = rolled_up(gateway.events())
        assert totals(figures) == totals(expected)
        assert shown(figures) == shown(expected)
        found = gateway.reconcile(clock)
        assert found.is_equal, found.differences
        assert found.at_tool == found.here == len(stand_in.current_submissions())
        assert not any(
            TOKENS[tool] in f"{request.path}{request.query}" for request in stand_in.requests
        ), "a credential is in a URL"


# --- pagination


@pytest.mark.parametrize("tool", TOOLS)
def test_changes_between_two_pages_hide_no_submission_and_are_in_the_next_pull(
    tool: str, tmp_path: Path
) -> None:
    with run_stand_in(tool, tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        submitted = []
        for _ in range(7):
            clock.advance(1)
            submitted.append(stand_in.submit(VISIT))
        clock.advance(60)
        requests = []

        def meanwhile(request: Request) -> None:
            requests.append(request)
            if len(requests) == 2:  # the first page was read
                stand_in.edit(submitted[0], VISIT)
                stand_in.delete(submitted[1])
                stand_in.edit(submitted[-1], VISIT)
            clock.advance(600)  # pages are slow: a change is old when the pull ends

        stand_in.before = meanwhile
        gateway.pull(clock)
        assert known(gateway) >= names_at(stand_in)
        clock.advance(60)
        gateway.pull(clock)
        assert gateway.reconcile(clock).differences == []


def test_an_edit_in_the_second_of_its_submission_is_a_later_state_at_kobotoolbox(
    tmp_path: Path,
) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        name = stand_in.submit(VISIT)
        stand_in.send_hooks(gateway.hook, all_of_them=True)
        clock.advance(0.2)
        stand_in.edit(name, VISIT._replace(posts=5))
        clock.advance(0.2)
        stand_in.edit(name, VISIT._replace(posts=9))
        clock.advance(60)
        gateway.pull(clock)
        assert [event["data"]["posts"] for event in gateway.events()] == [1, 9]


def test_more_forms_at_one_instant_than_a_page_of_commcare_are_all_fetched(
    tmp_path: Path,
) -> None:
    with run_stand_in("commcare", tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        stand_in._put = lambda name, form: stand_in._forms[name].put(
            clock.now, {**form, "modified": clock.now, "indexed": clock.now}
        )
        for _ in range(7):
            stand_in.submit(VISIT)
        clock.advance(60)
        gateway.pull(clock)
        assert known(gateway) == names_at(stand_in)


def test_a_page_token_of_odk_whose_row_was_purged_restarts_the_pull(tmp_path: Path) -> None:
    with run_stand_in("odk", tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        submitted = []
        for _ in range(6):
            clock.advance(1)
            submitted.append(stand_in.submit(VISIT))
        requests = []

        def meanwhile(request: Request) -> None:
            requests.append(request)
            if len(requests) == 2:  # the token names the second newest row
                stand_in.purge(submitted[-2])

        stand_in.before = meanwhile
        gateway.pull(clock)
        assert known(gateway) == names_at(stand_in) | {submitted[-2].removeprefix("uuid:")}
        assert [one.state for one in gateway.reconcile(clock).differences] == ["extra"]


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with run_stand_in("odk", tmp_path, trouble=1.0) as (stand_in, gateway, _):
        pauses = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            stand_in.trouble = 1.0 if len(pauses) < 5 else 0.0

        pull(gateway.ingest, gateway.source, sleep=sleep)
        assert {5.0, 7.0} & set(pauses), pauses
        assert len(pauses) == 5


# --- errors


PULL_ERRORS = {
    "wrong token": (
        "odk",
        {"token": "not-the-password"},
        "answers 401: the credentials are wrong; correct token_env or token_file",
    ),
    "no right to the history": (
        "kobo",
        {"token": kobo.TOKEN_WITHOUT_HISTORY},
        "/history/ answers 403: the account may not read this",
    ),
    "no such asset": (
        "kobo",
        {"pull": 'asset = "another"'},
        "answers 404: there is no such form for this account",
    ),
    "another name of the form": (
        "kobo",
        {"pull": f'asset = "{kobo.ASSET}"\nform = "other"'},
        f'say form = "{kobo.FORM}" in [pull]',
    ),
    "another server": (
        "commcare",
        {"answer": "<html>Welcome</html>"},
        "answers with no JSON object; is this the tool's API?",
    ),
    "another API": ("commcare", {"answer": "{}"}, "the answer has no 'objects'"),
    "rows without names": (
        "odk",
        {"answer": '{"value": [1]}'},
        "an object in 'value' has no '__id'",
    ),
    "it moved": ("kobo", {"status": "302"}, "answers 302: the tool is elsewhere"),
    "never well": (
        "odk",
        {"status": "503"},
        "takes no requests now: it answers 503; the next pull tries again",
    ),
    "nobody there": ("odk", {"url": "http://127.0.0.1:9"}, "cannot be reached: ConnectError"),
}


@pytest.mark.parametrize("case", PULL_ERRORS)
def test_a_failed_pull_raises_one_line_and_records_it_for_the_status(
    case: str, tmp_path: Path
) -> None:
    tool, changes, expected = PULL_ERRORS[case]
    changes = dict(changes)
    with run_stand_in(tool, tmp_path) as (stand_in, gateway, clock):
        stand_in.submit(VISIT)
        clock.advance(600)
        if {"answer", "status"} & changes.keys():
            stand_in.get = lambda _: Response(
                int(changes.get("status", 200)),
                changes.get("answer", ""),
                (("Location", "http://elsewhere.example.org/"),),
            )
        source = write_source(
            tmp_path, tool, changes.pop("url", gateway.source.pull.url), **changes
        )
        with pytest.raises(PullError) as error:
            pull(gateway.ingest, source, sleep=clock.advance)
        assert expected in str(error.value)
        assert "\n" not in str(error.value)
        assert (tmp_path / "field.token").read_text() not in str(error.value)
        assert gateway.store.pull_states()["field"].trouble == str(error.value)
        assert gateway.store.pull_states()["field"].succeeded_at is None


def test_every_error_in_pull_options_is_reported_at_once(tmp_path: Path) -> None:
    write_source(tmp_path, "kobo", "http://kf", name="a", pull='asset = "a b"\nassets = 3')
    write_source(tmp_path, "odk", "http://odk", name="b", pull="project = 0")
    sources = list(read_field_sources(tmp_path / "sources").values())
    findings = find_config_errors(sources)
    assert [finding.split(": ")[:3] for finding in findings] == [
        ["a.toml", "[pull]", "asset"],
        ["a.toml", "[pull]", "assets"],
        ["b.toml", "[pull]", "project"],
        ["b.toml", "[pull]", "user"],
    ]
    with pytest.raises(PullError, match=r"a\.toml: \[pull\]: asset"), open_paginator(sources[0]):
        pass


def test_an_unmappable_submission_is_refused_and_the_others_are_accepted(
    tmp_path: Path,
) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        wrong = stand_in.submit(VISIT._replace(unit="CG-AC999"))
        right = stand_in.submit(VISIT)
        clock.advance(3600)
        pulled = gateway.pull(clock)
        assert (pulled.accepted, [(one.name, reason) for one, reason, _ in pulled.refused]) == (
            1,
            [(wrong, "unmappable")],
        )
        assert known(gateway) == {right}
        assert [(one.state, one.name) for one in gateway.reconcile(clock).differences] == [
            ("refused", wrong)
        ]
        stand_in.edit(wrong, VISIT)
        clock.advance(3600)
        gateway.pull(clock)
        assert gateway.reconcile(clock).is_equal


# --- scheduled pulls


def test_the_scheduler_pulls_at_once_then_at_intervals_and_soon_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "_RETRY_INTERVAL_S", 0.02)
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        respond = stand_in.get
        stand_in.get = lambda _: Response(401, {})
        gateway.source = write_source(tmp_path, "kobo", gateway.source.pull.url, every="1s")
        gateway.restart()
        schedule = PullScheduler(gateway.ingest)
        schedule.start()
        until(
            lambda: (state := gateway.store.pull_states().get("field")) and "401" in state.trouble,
            "the failure is recorded",
        )
        assert b'pravah_gateway_pull_trouble{source="field"} 1.0' in Telemetry().exposition(
            gateway.ingest
        )
        stand_in.get = respond
        name = stand_in.submit(VISIT)
        until(lambda: known(gateway) == {name}, "the next pull fetches it")
        until(
            lambda: (
                (state := gateway.store.pull_states()["field"]).succeeded_at and not state.trouble
            ),
            "the status has recovered",
        )
        assert b'pravah_gateway_pull_trouble{source="field"} 0.0' in Telemetry().exposition(
            gateway.ingest
        )
        with stand_in.lock:
            clock.advance(30)
            other = stand_in.submit(VISIT)
        until(lambda: known(gateway) == {name, other}, "it pulls again after the interval")
        schedule.stop()
        requests = len(stand_in.requests)
        assert not [thread for thread in threading.enumerate() if thread.name == "pull-field"]
        assert len(stand_in.requests) == requests


def test_the_scheduler_stops_during_a_retry_after(tmp_path: Path) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, _):
        stand_in.get = lambda _: Response(429, {}, (("Retry-After", "100"),))
        schedule = PullScheduler(gateway.ingest)
        schedule.start()
        until(lambda: stand_in.requests, "it sent a request")
        schedule.stop()
        until(
            lambda: not [thread for thread in threading.enumerate() if thread.name == "pull-field"],
            "its thread ends",
            5,
        )


def test_a_gateway_does_not_start_with_invalid_pull_options(tmp_path: Path) -> None:
    with run_stand_in("kobo", tmp_path) as (_, gateway, _):
        gateway.source = write_source(tmp_path, "kobo", "http://kf", pull="")
        gateway.restart()
        with pytest.raises(
            FieldSourcesError, match=r"field\.toml: \[pull\]: asset: Field required"
        ):
            PullScheduler(gateway.ingest)
