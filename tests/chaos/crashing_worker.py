"""`pravah worker`, but it kills itself at a crash point: `crashing_worker.py before:write.journal:3` dies right before the third insert into the journal.

The steps are those of a chunk's life; nothing in the product knows of them. `tests/chaos/cases.py` has the list.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import streams.app
import streams.transport
from cli.worker import worker
from sinks.rollup_store import RollupStore


class CrashPoint:
    def __init__(self, text: str) -> None:
        self.when, self.step, number = text.split(":")
        self.left = int(number)

    def around(self, step: str, call: Any, *arguments: Any, **named: Any) -> Any:
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
        return POINT.around("look-up", super().find_versions, *arguments)

    def contested_attempts(self, *arguments: Any) -> Any:
        return POINT.around("close", super().contested_attempts, *arguments)

    def fingerprints(self, *arguments: Any) -> Any:
        return POINT.around("filter", super().fingerprints, *arguments)

    def _insert(self, table: str, columns: Any, rows: Any) -> None:
        if rows:
            POINT.around(f"write.{table}", super()._insert, table, columns, rows)


send = streams.app._send


async def crashing_send(app: Any, outgoing: Any) -> None:
    if not outgoing.rejected:
        return await send(app, outgoing)
    if POINT.when == "before":
        POINT.around("send", lambda: None)
    await send(app, outgoing)
    if POINT.when == "after":
        POINT.around("send", lambda: None)
    return None


commit_offset, committable = (
    streams.transport.BatchApp.commit_offset,
    streams.transport.BatchConsumer._filter_committable_offsets,
)


def crashing_committable(self: Any, tps: Any) -> Any:
    found = committable(self, tps)
    return POINT.around("commit", lambda: found) if found else found


streams.app.RollupStore = CrashingStore
streams.app._send = crashing_send
streams.transport.BatchApp.commit_offset = lambda self, *arguments: POINT.around(
    "release", commit_offset, self, *arguments
)
streams.transport.BatchConsumer._filter_committable_offsets = crashing_committable

worker()
