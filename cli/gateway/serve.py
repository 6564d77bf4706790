"""`pravah gateway`: serve events and hooks over HTTP, pull what hooks missed, and hand all of it to Kafka."""

import logging
import signal
import sys
from typing import Annotated

import typer

from pravah.settings import Settings


def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Where to listen. Put a reverse proxy with TLS in front of it before it leaves this machine."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8_090,
) -> None:
    """Take events and field tools' hooks until a signal; Kafka need not be there.

    Who may send stands in the folder of PRAVAH_GATEWAY_SOURCES, a file for each source. What it offers stands at `/docs`. What was answered with 2xx is in `$PRAVAH_HOME/gateway/`, on the
    disk, until Kafka has it.
    """
    if context.invoked_subcommand is not None:
        return
    import uvicorn

    from producers.gateway.app import build
    from producers.gateway.ingest import IngestService
    from producers.pulls.schedule import Schedule
    from streams.health import check_listen

    settings = Settings()
    check_listen(host, port)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("kafka").setLevel(
        logging.CRITICAL
    )  # it repeats itself several times a second while Kafka is away; the outbox tells it once
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # uvicorn ends in good order, then hands the signal on
    with IngestService.open(settings) as reception:
        schedule = Schedule(reception)
        schedule.start()
        try:
            typer.echo(
                f"serving http://{host}:{port}/docs for {len(reception.sources)} sources: {', '.join(reception.sources)}"
            )
            uvicorn.run(
                build(reception),
                host=host,
                port=port,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=10,
                h11_max_incomplete_event_size=64 * 1024,
            )
        finally:
            schedule.stop()
