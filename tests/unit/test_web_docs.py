"""The page that describes an HTTP service works in a browser without a network."""

import re

import pytest
from fastapi.testclient import TestClient

import api.app
import producers.gateway.app
from pravah.settings import Settings

APPLICATIONS = {
    "api": lambda: api.app.build(Settings(_env_file=None)),
    "gateway": lambda: producers.gateway.app.build(None),  # type: ignore[arg-type]
}
ADDRESS = re.compile(r"""(?:src|href)=["']([^"']+)["']|url: ["']([^"']+)["']""")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_description_loads_nothing_from_elsewhere(name: str) -> None:
    client = TestClient(APPLICATIONS[name]())
    answer = client.get("/docs")
    assert answer.status_code == 200
    assert '"validatorUrl": null' in answer.text
    found = ADDRESS.findall(answer.text)
    addresses = [one or other for one, other in found if not (one or other).startswith("data:")]
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/")
        assert client.get(address).status_code == 200, address
    assert client.get("/redoc").status_code == 404
