"""Programs for Python that run `pravah` and stop or kill themselves at one point of it."""

_PROGRAM = """
import os, pathlib, signal, sys
sys.argv = ["pravah", *{arguments!r}]
import sinks.lease
sinks.lease.LEASE_SECONDS = {lease_seconds}
marker = pathlib.Path({marker!r})

def interrupt():
    if not marker.exists():  # once: a worker that starts again goes on
        marker.touch()
        os.kill(os.getpid(), signal.{signal})

{patch}
from cli.main import main
main()
"""

_AROUND = """
import {module}
original = {module}.{name}
calls = 0

def {short}(*arguments, **options):
    global calls
    calls += 1
    if calls == {call}:
        interrupt()
    return original(*arguments, **options)

{module}.{name} = {short}
"""

# Half of a block has left when the process stops.
_WITHIN_A_BLOCK = """
import sinks.native, sinks.native_format
original = sinks.native_format.encode

def encode(parts, kind):
    pieces = list(original(parts, kind))
    if kind.startswith("Array"):
        yield pieces[0]
        stream.fout.flush()
        interrupt()
        yield from pieces[1:]
    else:
        yield from pieces

write = sinks.native._BlockStream.write

def keep(self, block):
    global stream
    stream = self
    return write(self, block)

sinks.native_format.encode = encode
sinks.native._BlockStream.write = keep
"""


def interrupted(
    *arguments: str,
    marker: object,
    signal: str,
    before: str,
    call: int = 1,
    lease_seconds: int = 15,
) -> tuple[str, ...]:
    """Arguments for Python: `pravah` that sends itself a signal, once.

    Args:
        arguments: of `pravah`.
        marker: a file that does not exist; it does as soon as the signal was sent.
        signal: its name.
        before: module and function, with a colon between them, before whose call it is sent;
            "within a block": when half of a block of the ledger has left for ClickHouse.
        call: which call.
        lease_seconds: of a lease that the process holds.
    """
    if before == "within a block":
        patch = _WITHIN_A_BLOCK
    else:
        module, _, name = before.partition(":")
        patch = _AROUND.format(module=module, name=name, short=name.rpartition(".")[2], call=call)
    program = _PROGRAM.format(
        arguments=arguments,
        lease_seconds=lease_seconds,
        marker=str(marker),
        signal=signal,
        patch=patch,
    )
    return ("-c", program)
