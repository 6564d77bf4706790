"""Measure the cost of the gateway beside a plain write: acknowledged events a second.

    python benchmarks/gateway.py [--seconds 10] [--rounds 3] [--clients 16] [--json]

Events are sent to `/v1/events` in batches of 1 and of 100, in turn to `pravah gateway`, which
relays them to a real Kafka meanwhile, and to the same server (uvicorn, FastAPI) that only appends
each body to a file. Both flush to the disk once for all waiting requests, and respond after the
flush.
"""

import argparse
import asyncio
import json
import os
import queue
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from uuid import UUID

import reference
import stack
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from operations.worker_processes import start_worker, stop_worker

BATCHES = (1, 100)
TOKEN = "a secret of the benchmark, long enough"  # noqa: S105
SOURCE = """tool = "events"
[check]
kind = "bearer"
secret_file = "token"
[limits]
rate = "1000000/second"
"""
# Bodies that the plain server writes with one flush.
_MAX_BATCH = 256


def event(number: int) -> dict[str, object]:
    """Make a usual event that differs from all others."""
    return {
        "event_id": str(UUID(int=number)),
        "entity": f"bench:{number}",
        "unit": f"CG-AC084-B{number % 260 + 1:04}",
        "kind": "social_post",
        "occurred_at": "2022-05-03T18:05:00+05:30",
        "source": {"tool": "benchmark", "producer": "gateway"},
        "data": {"platform": "facebook", "posts": number % 10, "reach": 420},
    }


def main() -> int:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16, help="concurrent connections")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--append", nargs=2, metavar=("PORT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.append:
        append_server(int(options.append[0]), Path(options.append[1]))
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="pravah-gateway-") as name,
        stack.running(Path(name) / "home") as settings,
    ):
        folder = Path(name)
        prepare(settings, lambda _: None, registry=read_registry_files(reference.registry_files()))
        (folder / "sources").mkdir()
        (folder / "sources" / "bench.toml").write_text(SOURCE, encoding="utf-8")
        (folder / "sources" / "token").write_text(TOKEN, encoding="utf-8")
        ports = [free_port(), free_port()]
        environment = {"PRAVAH_GATEWAY_SOURCES": str(folder / "sources")}
        gateway = start_worker(
            settings,
            folder / "gateway.log",
            program=("-m", "pravah", "gateway", "--port", str(ports[0])),
            environment=environment,
        )
        append = start_worker(
            settings,
            folder / "append.log",
            program=(__file__, "--append", str(ports[1]), str(folder / "appended")),
        )
        try:
            found = measure(ports, options.seconds, options.rounds, options.clients)
        finally:
            stop_worker(gateway)
            stop_worker(append)
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        "| batch | gateway, events/s | appends alone, events/s | ratio |\n| --- | --- | --- | --- |"
    )
    for batch in BATCHES:
        own, plain = found[f"gateway_{batch}"], found[f"append_{batch}"]
        print(f"| {batch} | {own:,.0f} | {plain:,.0f} | {own / plain:.2f} |")
    return 0


def measure(ports: list[int], seconds: float, rounds: int, clients: int) -> dict[str, float]:
    """Measure acknowledged events a second: the medians of the rounds."""
    for port in ports:
        wait_for(port)
    numbers, took = 0, dict[str, list[float]]()
    for _ in range(rounds):
        for batch in BATCHES:
            for name, port in zip(("gateway", "append"), ports, strict=True):
                rate, numbers = load(port, batch, seconds, clients, numbers)
                took.setdefault(f"{name}_{batch}", []).append(rate)
    return {name: statistics.median(rates) for name, rates in took.items()}


def load(port: int, batch: int, seconds: float, clients: int, first: int) -> tuple[float, int]:
    """Send events for some seconds. Bodies are made before the time is measured.

    Returns:
        Events a second, and the number of the next event.
    """
    count = int(seconds * (4_000 if batch == 1 else 800) / clients) + 1
    bodies = [
        [_request(first + (client * count + number) * batch, batch) for number in range(count)]
        for client in range(clients)
    ]
    counts = [0] * clients
    stop = threading.Event()

    def send(client: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for request in bodies[client]:
                if stop.is_set():
                    return
                connection.sendall(request)
                if _status(connection) != b"202":
                    raise SystemExit
                counts[client] += batch

    threads = [threading.Thread(target=send, args=(client,)) for client in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:  # until the time is up, or all bodies are sent
        thread.join(max(0.0, began + seconds - time.monotonic()))
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began), first + clients * count * batch


def _request(first: int, batch: int) -> bytes:
    events = [event(number) for number in range(first, first + batch)]
    body = json.dumps(events[0] if batch == 1 else events).encode()
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: gateway\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _status(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, rest = got.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(rest) < length:
        rest += connection.recv(65_536)
    return head.split(b" ")[1]


def append_server(port: int, path: Path) -> None:
    """Run the same server with nothing between a body and the disk."""
    import uvicorn
    from fastapi import FastAPI, Request
    from starlette.responses import JSONResponse, Response

    app = FastAPI()
    waiting: queue.Queue[tuple[bytes, Future[None]]] = queue.Queue()

    def write() -> None:
        with path.open("ab", buffering=0) as out:
            while True:
                orders = [waiting.get()]
                while len(orders) < _MAX_BATCH and not waiting.empty():
                    orders.append(waiting.get())
                out.write(b"".join(body for body, _ in orders))
                os.fsync(out.fileno())
                for _, future in orders:
                    future.set_result(None)

    threading.Thread(target=write, daemon=True).start()

    async def events(request: Request) -> Response:
        future: Future[None] = Future()
        waiting.put((await request.body(), future))
        await asyncio.wrap_future(future)
        return JSONResponse({"outcome": "accepted"}, 202)

    app.post("/v1/events")(events)
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False
    )


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until a server listens on a port."""
    _until(lambda: _listens(port))


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
