"""A worker loads the registry from the topic `units` and follows its changes."""

import threading
from collections.abc import Iterator

import pytest

from pravah.producer import EventProducer
from pravah.topics import UNITS
from producers.topics.registry import publish_registry
from schemas.registry import Registry, RegistryError
from streams.registry_feed import RegistryFeed
from tests.support import small_world
from tests.support.deployment import Deployment, until

REGISTRY = small_world.registry()


@pytest.fixture
def feed(deployment: Deployment) -> Iterator[RegistryFeed]:
    feed = RegistryFeed(deployment.settings.kafka)
    yield feed
    feed.close()


def put(deployment: Deployment, code: str, value: bytes | None) -> None:
    with EventProducer(deployment.settings.kafka, topic=UNITS) as producer:
        producer.send_raw(value, code)


def test_an_invalid_entry_is_logged_and_the_one_before_it_stays(
    deployment: Deployment, feed: RegistryFeed, caplog: pytest.LogCaptureFixture
) -> None:
    put(deployment, "CG-AC001", b'{"unit": "CG-AC001"}')
    assert feed.load().units == REGISTRY.units
    assert "(CG-AC001) is not a registry entry and is ignored: Field required" in caplog.text


def test_a_tombstone_removes_a_unit_and_units_below_a_missing_one_are_refused(
    deployment: Deployment, feed: RegistryFeed
) -> None:
    put(deployment, "CG-AC002-B0005", None)
    assert feed.load().units == {
        code: unit for code, unit in REGISTRY.units.items() if code != "CG-AC002-B0005"
    }
    put(deployment, "CG-D-A", None)
    with pytest.raises(RegistryError, match="parent 'CG-D-A' is not in the registry"):
        feed.load()


def test_a_change_is_reported_once_it_is_complete(
    deployment: Deployment, feed: RegistryFeed, caplog: pytest.LogCaptureFixture
) -> None:
    assert feed.load().fingerprint() == REGISTRY.fingerprint()
    reported: list[Registry] = []
    stop = threading.Event()
    follower = threading.Thread(target=feed.follow, args=(reported.append, stop))
    follower.start()
    try:
        put(deployment, "CG-D-A", None)
        until(
            lambda: "holds no valid registry at present" in caplog.text,
            "half of a change is refused",
        )
        assert not reported
        changed = Registry(
            {
                **REGISTRY.units,
                "CG-AC001": REGISTRY.units["CG-AC001"]._replace(name_en="Renamed"),
            }.values()
        )
        publish_registry(deployment.settings.kafka, changed)
        until(lambda: reported, "the whole change is reported")
    finally:
        stop.set()
        follower.join()
    assert [one.fingerprint() for one in reported] == [changed.fingerprint()]
