"""A relay on the loopback that writes down what a real client and a real server say to each other over TCP."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .said import ANSWERS, ASKS, Said

PATIENCE = 10.0  # seconds without a word after which a connection is given up


class Relay:
    """
    Forwards connections to a server and keeps what each read of a socket gave, in order, as one message.

    Attributes:
        port: where clients connect.
        said: what was heard so far; complete after ``close``.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.said: list[Said] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            upward = socket.create_connection(("127.0.0.1", self._server), PATIENCE)
            thread = threading.Thread(target=self._forward, args=(client, upward), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ, (ASKS, server))
            waiting.register(server, selectors.EVENT_READ, (ANSWERS, client))
            while ready := waiting.select(PATIENCE):
                for key, _ in ready:
                    side, other = key.data
                    try:
                        data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                        other.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
                    self.said.append((side, data))

    def close(self) -> None:
        """Take no more connections and wait for those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)


@contextmanager
def relayed(server: int) -> Iterator[Relay]:
    """Give a relay to the server at this port of the loopback, closed at the end."""
    relay = Relay(server)
    try:
        yield relay
    finally:
        relay.close()


def free_port() -> int:
    """Return a TCP port that is free now, for servers that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
