"""Base of the stand-ins: clock, HTTP server, network faults, and unreliable hooks.

Hooks are lost, repeated, late and out of order.
"""

import heapq
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

# The only statuses after which KoboToolbox sends a hook again.
RETRIED = {502, 503, 504}


class Clock:
    """The clock of the tools."""

    def __init__(self, now: datetime = datetime(2022, 5, 20, 4, 30, tzinfo=UTC)) -> None:
        self.now = now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Answers(NamedTuple):
    """The content of a form, the same for all tools."""

    unit: str
    at: str
    """RFC 3339."""
    posts: int
    volunteers: int | None
    groups: tuple[tuple[str, int], ...]
    """A repeat: type and members of each group."""


class CurrentSubmission(NamedTuple):
    """A submission that exists at the tool now."""

    name: str
    answers: Answers
    verification: str


class Response(NamedTuple):
    status: int
    content: object
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    path: str
    query: dict[str, str]
    authorization: str


@dataclass(order=True)
class Delivery:
    """A pending call of a hook."""

    due: datetime
    number: int
    name: str = field(compare=False)
    kind: str = field(compare=False)
    attempt: int = field(compare=False, default=1)


class StandIn:
    """A tool's server. Subclasses implement `get` and `hook_body`."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        trouble: float = 0.0,
        hooks_dropped: float = 0.0,
        page: int = 1000,
        latest_seconds: float = 120,
    ) -> None:
        """Start without submissions.

        Args:
            clock: of the tool.
            rng: of the faults.
            trouble: share of requests that fail in a way that a client must handle: 429, 502, 503,
                a broken connection.
            hooks_dropped: share of hooks that never arrive; as many arrive twice.
            page: the maximum number of rows per response.
            latest_seconds: how much later a change may become visible.
        """
        self.clock, self.rng, self.trouble, self.hooks_dropped, self.page, self.latest_seconds = (
            clock,
            rng,
            trouble,
            hooks_dropped,
            page,
            latest_seconds,
        )
        self.requests: list[Request] = []
        # called before each response, so that submissions can change while pages are read
        self.before: Callable[[Request], object] = lambda _: None
        self.lock = threading.RLock()
        self._numbers = 0
        self._deliveries: list[Delivery] = []
        self._changed: dict[str, datetime] = {}

    # --- implemented by each tool

    def get(self, request: Request) -> Response:
        raise NotImplementedError

    def hook_body(self, delivery: Delivery) -> bytes | None:
        """The body at the moment of sending; None if there is nothing to send any more."""
        raise NotImplementedError

    def retry_after(self, delivery: Delivery, status: int) -> float | None:
        """Seconds until the tool calls the hook again; None if it does not."""
        raise NotImplementedError

    def current_submissions(self) -> list[CurrentSubmission]:
        raise NotImplementedError

    # --- hooks

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def uuid(self) -> str:
        return f"{self.rng.getrandbits(32):08x}-0000-4000-8000-{self.number():012x}"

    def change(self, name: str) -> datetime:
        """Change a submission now; a server never changes one twice in a millisecond.

        Returns:
            When the change becomes visible.
        """
        if self._changed.get(name) == self.clock.now:
            self.clock.advance(0.001)
        self._changed[name] = self.clock.now
        return self.late()

    def late(self) -> datetime:
        """When a change of now becomes visible: most at once, some late."""
        return self.clock.now + timedelta(
            seconds=self.rng.choice([0, 0, 0.4, self.latest_seconds * self.rng.random()])
        )

    def call_hook(self, name: str, kind: str) -> None:
        """Schedule the hook for a change: perhaps late, perhaps twice, perhaps never."""
        draw = self.rng.random()
        for _ in range(
            0 if draw < self.hooks_dropped else 2 if draw < 2 * self.hooks_dropped else 1
        ):
            heapq.heappush(
                self._deliveries,
                Delivery(
                    self.clock.now + timedelta(seconds=self.rng.choice([0.2, 5, 900])),
                    self.number(),
                    name,
                    kind,
                ),
            )

    def send_hooks(self, post: Callable[[bytes], int], *, all_of_them: bool = False) -> int:
        """Call the hook for every delivery that is due, in order.

        Args:
            post: sends a body; returns the HTTP status, 504 for a timeout.
            all_of_them: deliver those that are not due yet as well.

        Returns:
            How many calls were made.
        """
        calls = 0
        while self._deliveries and (all_of_them or self._deliveries[0].due <= self.clock.now):
            delivery = heapq.heappop(self._deliveries)
            body = self.hook_body(delivery)
            if body is None:
                continue
            calls += 1
            status = post(body)
            pause = self.retry_after(delivery, status)
            if pause is not None:
                again = Delivery(
                    max(delivery.due, self.clock.now) + timedelta(seconds=pause),
                    self.number(),
                    delivery.name,
                    delivery.kind,
                    delivery.attempt + 1,
                )
                heapq.heappush(self._deliveries, again)
        return calls

    # --- HTTP

    def reply(self, request: Request) -> Response | None:
        """None: the connection breaks."""
        with self.lock:
            self.requests.append(request)
            self.before(request)
            if self.rng.random() < self.trouble:
                return self.rng.choice(
                    [
                        Response(
                            429, {"detail": "Request was throttled."}, (("Retry-After", "7"),)
                        ),
                        Response(502, "<html>Bad Gateway</html>"),
                        Response(
                            503,
                            {"detail": "maintenance"},
                            (
                                (
                                    "Retry-After",
                                    format_datetime(
                                        self.clock.now + timedelta(seconds=5), usegmt=True
                                    ),
                                ),
                            ),
                        ),
                        None,
                    ]
                )
            return self.get(request)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve for the length of a block.

        Gives:
            The server's address.
        """
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                reply = stand_in.reply(
                    Request(
                        parts.path,
                        dict(parse_qsl(parts.query, keep_blank_values=True)),
                        self.headers.get("Authorization", ""),
                    )
                )
                if reply is None:
                    self.close_connection = True
                    return
                body = (
                    reply.content if isinstance(reply.content, str) else json.dumps(reply.content)
                ).encode()
                self.send_response(reply.status)
                for name, value in (
                    ("Content-Type", "application/json"),
                    ("Content-Length", str(len(body))),
                    *reply.headers,
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return format_datetime(
                    stand_in.clock.now
                    if timestamp is None
                    else datetime.fromtimestamp(timestamp, UTC),
                    usegmt=True,
                )

            def log_message(self, *_: object) -> None:
                """Keep requests out of the output of the tests."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class History:
    """The states of one submission, each with the instant at which it becomes visible.

    A later state never becomes visible before an earlier one.
    """

    def __init__(self) -> None:
        self._states: list[tuple[datetime, dict | None]] = []

    def put(self, visible_at: datetime, state: dict | None) -> datetime:
        visible_at = max(visible_at, self._states[-1][0]) if self._states else visible_at
        self._states.append((visible_at, state))
        return visible_at

    def latest(self) -> dict | None:
        return self._states[-1][1]

    def visible(self, now: datetime) -> dict | None:
        """The newest visible state."""
        return next((state for at, state in reversed(self._states) if at <= now), None)
