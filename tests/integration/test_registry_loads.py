"""Loads of a registry exclude each other: the newest one counts, the others stop with an error."""

import pytest
from clickhouse_driver import Client

from operations import registry as loads
from operations.registry import RegistryConflictError, install_registry
from producers.topics.registry import read_registry
from schemas.registry import Registry
from sinks.deployment import REGISTRY, get_fact, set_fact
from tests.support import small_world
from tests.support.deployment import Deployment


def smaller_registry() -> Registry:
    units = small_world.registry().units
    return Registry(unit for code, unit in units.items() if code != "CG-AC002-B0005")


def registries(deployment: Deployment) -> tuple[str | None, str]:
    """Fingerprints of the registry in force and of the one in the topic."""
    topic = read_registry(deployment.settings.kafka)
    assert topic is not None
    return get_fact(deployment.clickhouse, REGISTRY), topic.fingerprint()


@pytest.mark.parametrize("step", ["load_registry", "publish_registry"])
def test_a_load_that_another_one_overtakes_stops_and_leaves_no_mixture(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    later, original = smaller_registry(), getattr(loads, step)

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(loads, step, original)
        install_registry(deployment.settings, later)
        return original(*arguments)

    monkeypatch.setattr(loads, step, overtaken)
    with pytest.raises(RegistryConflictError, match="load the one that is to be in force again"):
        install_registry(deployment.settings, small_world.registry())
    install_registry(deployment.settings, later)
    assert registries(deployment) == (later.fingerprint(), later.fingerprint())
    assert deployment.clickhouse.execute("SELECT uniqExact(unit) FROM units") == [(len(later),)]


def test_a_load_that_is_overtaken_before_its_last_step_activates_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, original = smaller_registry(), loads.set_fact

    def overtaken(client: Client, name: str, value: str, **condition: str) -> None:
        if name == REGISTRY:
            monkeypatch.setattr(loads, "set_fact", original)
            install_registry(deployment.settings, later)
        original(client, name, value, **condition)

    monkeypatch.setattr(loads, "set_fact", overtaken)
    with pytest.raises(RegistryConflictError):
        install_registry(deployment.settings, small_world.registry())
    assert registries(deployment) == (later.fingerprint(), later.fingerprint())


def test_the_same_registry_may_be_loaded_twice_at_a_time(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, original = smaller_registry(), loads.publish_registry

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(loads, "publish_registry", original)
        install_registry(deployment.settings, wanted)
        return original(*arguments)

    monkeypatch.setattr(loads, "publish_registry", overtaken)
    install_registry(deployment.settings, wanted)
    assert registries(deployment) == (wanted.fingerprint(), wanted.fingerprint())


def test_a_load_that_died_keeps_nobody_from_loading(deployment: Deployment) -> None:
    set_fact(deployment.clickhouse, "registry_load", "0123456789abcdef of a process that died")
    wanted = smaller_registry()
    install_registry(deployment.settings, wanted)
    assert registries(deployment) == (wanted.fingerprint(), wanted.fingerprint())


def test_a_registry_that_replaces_another_than_the_one_in_force_is_refused(
    deployment: Deployment,
) -> None:
    before = registries(deployment)
    with pytest.raises(RegistryConflictError, match="was loaded meanwhile"):
        install_registry(deployment.settings, smaller_registry(), replaces="of yesterday")
    assert registries(deployment) == before
