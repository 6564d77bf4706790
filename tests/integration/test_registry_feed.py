"""The registry as a worker reads and follows it in the topic `units`."""

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


def test_what_is_no_entry_is_told_and_the_one_before_it_stays(
    deployment: Deployment, feed: RegistryFeed, caplog: pytest.LogCaptureFixture
) -> None:
    put(deployment, "CG-AC001", b'{"unit": "CG-AC001"}')
    assert feed.load().units == REGISTRY.units
    assert "(CG-AC001) is no registry entry and is ignored: Field required" in caplog.text


def test_a_tombstone_takes_a_unit_out_and_what_stands_below_it_is_refused(
    deployment: Deployment, feed: RegistryFeed
) -> None:
    put(deployment, "CG-AC002-B0005", None)
    assert feed.load().units == {
        code: unit for code, unit in REGISTRY.units.items() if code != "CG-AC002-B0005"
    }
    put(deployment, "CG-D-A", None)
    with pytest.raises(RegistryError, match="parent 'CG-D-A' is not in the registry"):
        feed.load()


def test_a_change_is_told_once_it_is_whole_and_half_of_one_never(
    deployment: Deployment, feed: RegistryFeed, caplog: pytest.LogCaptureFixture
) -> None:
    assert feed.load().fingerprint() == REGISTRY.fingerprint()
    told: list[Registry] = []
    stop = threading.Event()
    follower = threading.Thread(target=feed.follow, args=(told.append, stop))
    follower.start()
    try:
        put(deployment, "CG-D-A", None)
        until(
            lambda: "holds no usable registry at present" in caplog.text,
            "half of a change is refused",
        )
        assert not told
        changed = Registry(
            {
                **REGISTRY.units,
                "CG-AC001": REGISTRY.units["CG-AC001"]._replace(name_en="Renamed"),
            }.values()
        )
        publish_registry(deployment.settings.kafka, changed)
        until(lambda: told, "the whole change is told")
    finally:
        stop.set()
        follower.join()
    assert [one.fingerprint() for one in told] == [changed.fingerprint()]
