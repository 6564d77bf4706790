"""`pravah worker` that kills itself at a crash point.

`crashing_worker.py before:write.journal:3` dies right before the third insert into the journal.
The steps are those of a chunk's life (`streams/worker.py`), listed as `CRASH_POINTS` in
`tests/chaos/cases.py`. Nothing in the product knows of them.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import streams.app
from cli.worker import worker
from rollup.flush import Outgoing
from sinks.rollup_store import RollupStore
from streams.transport import BatchApp, BatchConsumer


class CrashPoint:
    """Kills this process before or after the nth call of a step."""

    def __init__(self, text: str) -> None:
        self.when, self.step, number = text.split(":")
        self.left = int(number)

    def around(self, step: str, call: Any, *arguments: Any, **named: Any) -> Any:
        """Call a function that is a step of a chunk's life."""
        if step != self.step:
            return call(*arguments, **named)
        self.left -= 1
        if self.left == 0 and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **named)
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


POINT = CrashPoint(sys.argv[1])


class CrashingStore(RollupStore):
    def find_versions(self, *arguments: Any) -> Any:
        return POINT.around("lookup", super().find_versions, *arguments)

    def contested_attempts(self, *arguments: Any) -> Any:
        return POINT.around("close", super().contested_attempts, *arguments)

    def fingerprints(self, *arguments: Any) -> Any:
        return POINT.around("filter", super().fingerprints, *arguments)

    def _insert(self, table: str, columns: Any, rows: Any) -> None:
        if rows:
            POINT.around(f"write.{table}", super()._insert, table, columns, rows)


send = streams.app._send
commit_offset = BatchApp.commit_offset
filter_committable_offsets = BatchConsumer._filter_committable_offsets


async def crashing_send(app: BatchApp, outgoing: Sequence[Outgoing]) -> None:
    if not any(one.rejected for one in outgoing):
        return await send(app, outgoing)
    if POINT.when == "before":
        POINT.around("send", lambda: None)
    await send(app, outgoing)
    if POINT.when == "after":
        POINT.around("send", lambda: None)
    return None


def crashing_commit_offset(self: BatchApp, *arguments: Any) -> None:
    POINT.around("commit", commit_offset, self, *arguments)


def crashing_filter(self: BatchConsumer, tps: Any) -> Any:
    offsets = filter_committable_offsets(self, tps)
    return POINT.around("offsets", lambda: offsets) if offsets else offsets


streams.app.RollupStore = CrashingStore
streams.app._send = crashing_send
BatchApp.commit_offset = crashing_commit_offset
BatchConsumer._filter_committable_offsets = crashing_filter

worker()
