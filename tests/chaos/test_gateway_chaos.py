"""The gateway under load, in short: Kafka stands still, the disk fills up, and it is killed again and again. `tests/chaos/gateway.py` is the long form."""

from pathlib import Path

import pytest

from pravah.settings import Settings
from tests.chaos.gateway import run


# Kafka's client leaves sockets behind when its broker stands still while it connects
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_acknowledged_arrives_and_counts_once(services: Settings, tmp_path: Path) -> None:
    result = run(services, tmp_path, seconds=4.0, rate=120.0, kills=2, seed=5)
    assert result.differences == []
    assert result.acknowledged > 300
    assert result.most_waiting > 50
    assert result.answers["503"] > 20
    assert result.records >= result.arrived >= result.acknowledged
