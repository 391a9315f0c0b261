"""Feeds what goes on into a stream until it ends or is stopped."""

from __future__ import annotations

from itertools import chain
from threading import Event

from ..cluster.storage import Storage
from ..discovery.capture_set import Asked
from .feed import StreamFeed
from .followed import FollowedFiles
from .received import SCHEMES, Received


def follow(source: str, asked: Asked, storage: Storage, stream: str, stop: Event) -> FollowedFiles | Received:
    """
    Return what follows a file or a folder, or receives messages.

    Raises:
        InputError: a socket cannot be opened.
    """
    if source == "-" or source.partition("://")[0] in SCHEMES:
        return Received(source, asked, stop)
    return FollowedFiles(source, asked, storage, stream, stop)


def feed_followed(feed: StreamFeed, followed: FollowedFiles | Received) -> None:
    """
    Add what comes to a stream, until it ends or is stopped; all that was given then is acknowledged.

    Raises:
        InputError: another process holds the stream, or what comes is not what was said. NotFoundError: there are
            several protocols, and none was named.
    """
    batches = followed.batches()
    first = next((each for each in batches if each is not None), None)
    if first is not None and followed.known is not None:
        feed.add(followed.known, chain([first], batches))
