"""`pravah gateway`: the HTTP service, scheduled pulls, and the relay to Kafka."""

import logging
import signal
import sys
from typing import Annotated

import typer


def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Put a reverse proxy with TLS in front before it is "
            "reachable from other machines."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8_090,
) -> None:
    """Accept events and webhooks of field tools until a signal. Kafka may be down.

    PRAVAH_GATEWAY_SOURCES is a folder with one file per source that may send. `/docs` has the
    OpenAPI description. Everything answered with 2xx is on disk in `$PRAVAH_HOME/gateway/` until
    Kafka has it.
    """
    if context.invoked_subcommand is not None:
        return
    import uvicorn

    from pravah.listen import check_listen
    from pravah.settings import Settings
    from producers.gateway.app import build
    from producers.gateway.ingest import IngestService
    from producers.pulls.schedule import PullScheduler

    settings = Settings()
    check_listen(host, port, server="the gateway", remedy="Choose another --port or --host")
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # it logs several times a second while Kafka is down; the relay logs that once
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # uvicorn shuts down in good order, then raises the signal again
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with IngestService.open(settings) as ingest:
        scheduler = PullScheduler(ingest)
        scheduler.start()
        try:
            typer.echo(
                f"serving http://{host}:{port}/docs for {len(ingest.sources)} sources: "
                f"{', '.join(ingest.sources)}"
            )
            uvicorn.run(
                build(ingest),
                host=host,
                port=port,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=10,
                h11_max_incomplete_event_size=64 * 1024,
            )
        finally:
            scheduler.stop()
