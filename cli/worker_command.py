"""`pravah worker`: its options. `cli.worker` has the worker, and imports what it runs on."""

from typing import Annotated

import typer


def worker(
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of workers, each a process; at full speed one uses about 1.5 cores.",
        ),
    ] = 1,
) -> None:
    """Roll events up until a signal.

    Reads activity.events and writes figures to ClickHouse; logs go to standard error. Several
    workers may run: Kafka divides the partitions among them. A worker that is killed loses nothing:
    chunks that it had not closed are folded again. When the registry changes, a worker restarts by
    itself, so that each open chunk is folded under one registry. With --processes, a worker that
    ends by itself is restarted; the first one has PRAVAH_WORKER_PORT, the next ones the ports
    after it.
    """
    from cli.worker import worker as run

    run(processes)
