"""A deployment with events for reports."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from operations.bootstrap import prepare
from pravah.settings import Settings
from schemas.contacts import Contact
from sinks.control_room import load_contacts
from sinks.migrate import Schema
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

PHONE = "+919876543210"
DAYS = {
    name: small_world.FIRST_DAY + timedelta(days=number)
    for name, number in (("before B moves", 15), ("D begins", 30), ("late", 130))
}
LOOKED_AT = DAYS["late"]


def events() -> list[dict]:
    """Events of the plan, and memberships and posts on some days up to the last one looked at."""
    choose = random.Random(23)
    found = [any_event(choose) for _ in range(400)]
    for number in range(500):
        unit, first, last = choose.choice(
            [
                ("CG-AC001-B0001", 0, 130),
                ("CG-AC001-B0002", 0, 130),
                ("CG-AC001-B0003", 0, 130),
                ("CG-AC001-B0004", 0, 40),
                ("CG", 0, 130),
            ]
        )
        kind, data = choose.choice(
            [
                (
                    "membership",
                    {"mode": choose.choice(["manual", "digital"]), "count": choose.randrange(9)},
                ),
                (
                    "social_post",
                    {
                        "platform": choose.choice(["facebook", "twitter"]),
                        "posts": choose.randrange(4),
                        "reach": choose.randrange(900),
                    },
                ),
            ]
        )
        at = small_world.on(choose.randint(first, last))
        found.append(
            {
                "event_id": f"10000000-0000-4000-8000-{number:012x}",
                "unit": unit,
                "kind": kind,
                "data": data,
                "occurred_at": f"{at}T10:00:00+05:30",
                "verification": choose.choice(["unverified", "verified"]),
                "source": {"tool": "test", "producer": "report"},
            }
        )
    return found


@contextmanager
def deploy_report_world(services: Settings, folder: Path) -> Iterator[Deployment]:
    """A deployment with these events and with contacts."""
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    fold(services.clickhouse, small_world.registry(), events())
    made = Deployment(services, folder)
    contacts = [
        Contact(unit=unit, role="in-charge", name="Asha Sahu", phone=PHONE, language="hi")
        for unit in ("CG", "CG-D-A", "CG-AC001", "CG-AC001-B0001")
    ]
    load_contacts(made.clickhouse, Schema(services.clickhouse.database), contacts)
    yield made
    made.stop()
