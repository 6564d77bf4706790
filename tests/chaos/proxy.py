"""A TCP proxy that cuts connections in the middle of a transfer."""

import contextlib
import random
import socket
import threading


class CuttingProxy:
    """Forwards connections to a port of 127.0.0.1.

    While `cutting` is set, each connection ends after a random number of bytes from the client.
    """

    def __init__(self, target: int, seed: int) -> None:
        self._target, self._rng = target, random.Random(seed)
        self.cutting = threading.Event()
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(
                    target=self._forward, args=(client, server, True), daemon=True
                ).start()
                threading.Thread(
                    target=self._forward, args=(server, client, False), daemon=True
                ).start()

    def _forward(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        budget = self._rng.randrange(500, 60_000)
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if to_server and self.cutting.is_set():
                    budget -= len(data)
                    if budget < 0:
                        target.sendall(data[: len(data) // 2])
                        self.cuts += 1
                        break
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
