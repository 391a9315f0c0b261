"""A connection to a running Ray that many threads use, and that is made anew when its node was given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from ..discovery.errors import InputError


class RayConnection:
    """
    A connection of this process to Ray, which has one for all its threads.

    A process outlives the Ray of its own node and goes on, but hears of no actor's new place once the head was started
    anew as well. What was asked through the connection before is lost with it.

    Args:
        connect: makes it, as ``ray.init``. It is there already when this is made.
    """

    def __init__(self, connect: Callable[[], None]) -> None:
        self._connect, self._changed = connect, Condition()
        self._users, self._renewing, self._number = 0, False, 0

    @contextmanager
    def use(self) -> Iterator[int]:
        """
        Give the number of the connection, which nobody renews while the block lasts; blocks are not nested.

        Raises:
            InputError: there is none, since it could not be renewed.
        """
        if not _connected():  # it could not be renewed when it was tried
            self.renew_if_lost(self._number)
        with self._kept():
            if not _connected():
                raise InputError("no connection to Ray", hint="ray start --address starts the Ray of a node")
            yield self._number

    def renew_if_lost(self, number: int) -> None:
        """
        Connect anew where the node of the connection that was used under a number is none of Ray's any more.

        Raises:
            InputError: there is no running Ray.
        """
        with self._kept():  # the head may take its time to answer, and others go on meanwhile
            if self._number != number or not _lost():
                return
        with self._changed:
            self._changed.wait_for(lambda: not self._renewing)
            if self._number != number:
                return
            self._renewing = True
            self._changed.wait_for(lambda: not self._users)
        try:
            _disconnect()
            self._connect()
            self._number += 1
        finally:
            with self._changed:
                self._renewing = False
                self._changed.notify_all()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep the connection, or what is left of it, while the block lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._renewing)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()


def _connected() -> bool:
    import ray

    return bool(ray.is_initialized())


def _disconnect() -> None:
    import ray

    ray.shutdown()


def _lost() -> bool:
    """Return whether the node that this process belongs to was given up; a client belongs to none."""
    import ray
    from ray.exceptions import RaySystemError, RpcError

    if not ray.is_initialized():
        return True
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        return False
    try:
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    except (RaySystemError, RpcError):
        return False  # the head does not answer: it says so when it is back
    return ray.get_runtime_context().get_node_id() not in alive
