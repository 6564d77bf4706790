"""The gateway under load while Kafka is stopped, the disk is full and it is killed.

The short form of `tests/chaos/gateway.py`.
"""

from pathlib import Path

import pytest

from pravah.settings import Settings
from tests.chaos.gateway import run


# Kafka's client leaves sockets open if its broker is stopped while it connects
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_acknowledged_event_arrives_and_counts_once(
    services: Settings, tmp_path: Path
) -> None:
    result = run(services, tmp_path, seconds=4.0, rate=120.0, kills=2, seed=5)
    assert result.differences == []
    assert result.acknowledged > 300
    assert result.max_pending > 50
    assert result.answers["503"] > 20
    assert result.records >= result.arrived >= result.acknowledged
