"""Faust with tables: an app that increments a table entry for every event, metric and level.

This is how Faust's documentation teaches it, and how one would write it first. The app favours
itself: it neither validates nor de-duplicates, decodes with orjson, keeps its tables in memory, and
writes the figures to ClickHouse once, at its end, after its time was measured. `peer.py` describes
how it is run.
"""

import os
from typing import Any

import faust

from benchmarks.peers.counting import EventCounter
from benchmarks.peers.peer import ADDITIVE, Figures, Progress, make_counter, options
from pravah.days import date_of, day_of
from pravah.settings import Settings
from pravah.topics import EVENTS

NAME = "faust_tables"


def build(settings: Settings, run: str, counted: EventCounter, progress: Progress) -> faust.App:
    """Build an app that counts to the end of the run, prints its result, and ends."""
    home = settings.home / NAME / run
    home.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        run,
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap_servers.split(",")],
        store="memory://",
        topic_partitions=settings.kafka.partitions,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=20_000,
        broker_commit_interval=1.0,
        # the successor of a killed process waits for the session to end: not for a minute
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        datadir=str(home),
        web_enabled=False,
        value_serializer="raw",
    )
    figures = app.Table("figures", default=int, partitions=settings.kafka.partitions)
    topic = app.topic(EVENTS, value_type=bytes, value_serializer="raw")

    @app.agent(topic)
    async def count(stream: Any) -> None:
        async for record in stream.events():
            progress.begin()
            found = counted.read(record.value)
            if found is not None:
                unit, day, place, amounts = found
                for metric, amount in amounts:
                    for level, ancestor in ((place.level, unit), *counted.lines[place.line]):
                        figures[f"{level}|{ancestor}|{metric}|{day_of(day)}"] += amount
            progress.read(record.message.partition, record.message.offset + 1, 1)
            if progress.is_over:
                end(settings, figures, progress)

    @app.timer(interval=1.0)
    async def check_end() -> None:
        if progress.is_over:  # there was nothing to read
            end(settings, figures, progress)

    return app


def end(settings: Settings, figures: Any, progress: Progress) -> None:
    """Print the result, write the figures, and exit: Faust's shutdown is not measured."""
    progress.print_result()
    if figures:
        levels, units, metrics, days = zip(*(key.split("|") for key in figures), strict=True)
        Figures(settings, NAME).insert(
            (levels, units, metrics, [date_of(int(day)) for day in days], list(figures.values()))
        )
    os._exit(0)


if __name__ == "__main__":
    chosen, configured = options(__doc__, ADDITIVE, NAME), Settings()
    app = build(
        configured,
        chosen.run,
        make_counter(),
        Progress.of(configured.kafka, chosen.seconds, chosen.run),
    )
    faust.Worker(app, loglevel="error", redirect_stdouts=False).execute_from_commandline()
