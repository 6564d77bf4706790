"""The other way: a Faust app that increments a table for every event, metric and level, as Faust's own documentation teaches it.

It is generous to itself: it trusts its input, so it checks and de-duplicates nothing, and it decodes with orjson. `throughput.py` starts it and reads the last line it prints.
"""

import json
import os
import sys
import time
from datetime import datetime
from typing import Any

import faust
import orjson

from schemas.days import day_of_micros, instant_micros
from schemas.registry import Registry
from schemas.topics import EVENTS
from settings import Settings
from streams.registry_feed import RegistryFeed

_FIELDS = {
    "posts": "posts",
    "reach": "reach",
    "engagements": "engagements",
    "attendees": "training_attendees",
    "count": "members",
    "members": "group_members",
    "value": "tally",
}


def build(settings: Settings, registry: Registry, seconds: float) -> faust.App:
    """An app that counts for so many seconds after its first event, prints how many it counted, and ends."""
    home = settings.home / "table-per-event"
    home.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        "table-per-event",
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap_servers.split(",")],
        store="memory://",
        topic_partitions=settings.kafka.partitions,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=20_000,
        datadir=str(home),
        web_enabled=False,
        value_serializer="raw",
    )
    figures = app.Table("figures", default=int, partitions=settings.kafka.partitions)
    topic = app.topic(EVENTS, value_type=bytes, value_serializer="raw")
    counted = {"events": 0, "since": 0.0}

    @app.agent(topic)
    async def count(events: Any) -> None:  # noqa: ANN401
        async for raw in events:
            now = time.perf_counter()
            counted["since"] = counted["since"] or now
            if now - counted["since"] > seconds:
                print(json.dumps({"events": counted["events"], "seconds": now - counted["since"]}), flush=True)
                os._exit(0)  # what it leaves behind is thrown away
            try:
                event = orjson.loads(raw)
                data, unit = event["data"], event["unit"]
                day = day_of_micros(instant_micros(datetime.fromisoformat(event["occurred_at"])))
                spans = registry.ancestors(unit, day)
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                counted["events"] += 1
                continue
            for field, metric in _FIELDS.items():
                if field in data:
                    for span in spans:
                        figures[f"{span.level}|{span.ancestor}|{metric}|{day}"] += data[field]
            counted["events"] += 1

    return app


if __name__ == "__main__":
    configured = Settings()
    feed = RegistryFeed(configured.kafka)
    units = feed.load()
    feed.close()
    faust.Worker(build(configured, units, float(sys.argv[1])), loglevel="error", redirect_stdouts=False).execute_from_commandline()
