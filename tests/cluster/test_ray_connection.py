"""A connection to Ray that is lost is made anew once, while nobody uses it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from qbitel.cluster import ray_connection
from qbitel.cluster.ray_connection import RayConnection
from qbitel.discovery.errors import InputError


class Node:
    """Stands for Ray: a node that may be lost, and a connection to it."""

    def __init__(self) -> None:
        self.connected, self.lost, self.refused, self.users, self.made = True, False, 0, 0, 0

    def connect(self) -> None:
        """Connect, unless there is nothing to connect to yet."""
        assert not self.users
        if self.refused:
            self.refused -= 1
            raise InputError("no running Ray")
        self.connected, self.lost, self.made = True, False, self.made + 1

    def disconnect(self) -> None:
        """Disconnect."""
        assert not self.users
        self.connected = False


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """Give a node that takes the place of Ray."""
    made = Node()
    monkeypatch.setattr(ray_connection, "_connected", lambda: made.connected)
    monkeypatch.setattr(ray_connection, "_disconnect", made.disconnect)
    monkeypatch.setattr(ray_connection, "_lost", lambda: made.lost or not made.connected)
    yield made


def test_lost_connection_is_made_anew_once_for_all_who_use_it(node: Node) -> None:
    """Eight threads that find it lost get the same next one, and none uses it while it changes."""
    connection, together = RayConnection(node.connect), threading.Barrier(8)
    numbers: list[int] = []

    def work() -> None:
        with connection.use() as number:
            node.users += 1
            together.wait()
            node.lost = True
            together.wait()
            node.users -= 1
        connection.renew_if_lost(number)
        with connection.use() as number:
            numbers.append(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (numbers, node.made) == ([1] * 8, 1)


def test_connection_that_stands_is_kept(node: Node) -> None:
    """Who asks for another one gets the same."""
    connection = RayConnection(node.connect)
    connection.renew_if_lost(0)
    with connection.use() as number:
        assert (number, node.made) == (0, 0)


def test_connection_is_tried_again_by_the_next_who_uses_it(node: Node) -> None:
    """As long as there is no Ray, who uses it hears so; then it goes on."""
    connection = RayConnection(node.connect)
    node.lost, node.refused = True, 2
    with pytest.raises(InputError, match="no running Ray"):
        connection.renew_if_lost(0)
    with pytest.raises(InputError, match="no running Ray"), connection.use():
        pass
    with connection.use() as number:
        assert (number, node.made) == (1, 1)
