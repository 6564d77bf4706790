"""Check of the address that a server is to listen on, before anything else is started."""

import socket

from pravah.errors import PravahError


class ListenError(PravahError):
    """A server cannot listen on its address; the message says what to change."""

    def __init__(self, host: str, port: int, error: OSError, *, server: str, remedy: str) -> None:
        # asyncio repeats the address before the reason
        reason = str(error.strerror or error).rpartition(": ")[2]
        super().__init__(f"{server} cannot listen on {host}:{port}: {reason}. {remedy}")


def check_listen(host: str, port: int, *, server: str, remedy: str) -> None:
    """Check that a server can listen on an address.

    Args:
        host: a name or an address of this machine.
        port: 0 is always free.
        server: begins the error's message, such as "the gateway".
        remedy: ends the error's message: a sentence on what to change, without its full stop.

    Raises:
        ListenError: the address is in use, or is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        raise ListenError(host, port, error, server=server, remedy=remedy) from error
