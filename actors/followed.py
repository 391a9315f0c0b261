"""
A capture file that grows, or a folder of files that a capture is rotated into, followed as it is written.

The steps in which packets are read are noted in the storage before their messages are sent. Started again, a follower
reads the same steps anew: the edge gives the same messages under the same keys, and nothing is doubled.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from ..cluster.inputs import list_inputs
from ..cluster.storage import Storage
from ..discovery.capture_set import PIECE, Asked
from ..discovery.captures.headers import decode
from ..discovery.captures.packed import Packed
from ..discovery.captures.packets import COMPLETE, CUT_HEADER, CUT_PACKET, MAGICS, TOO_MANY, PcapWalk, damage
from ..discovery.captures.pcapng import PcapngWalk
from ..discovery.captures.reader import PCAPNG_MAGIC
from ..discovery.errors import InputError, NotFoundError
from ..discovery.live import LiveEdge, Step
from ..discovery.orchestrator import Known
from .ingest import Keyed, cut

_NOTHING = Packed.concatenate([])


NOTED = 1024  # steps an object


class _Steps:
    """The steps of a follower, in objects of ``NOTED``, so that noting one costs the same after months."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage, self._folder = storage, folder
        self._last: list[tuple[int, int]] = []
        self.count = 0

    def read(self) -> list[tuple[int, int]]:
        """
        Return the steps that were noted: how many packets, and what was done then.

        Raises:
            InputError: an object is damaged.
        """
        noted: list[tuple[int, int]] = []
        while len(noted) % NOTED == 0:
            path = self._path(len(noted))
            try:
                self._last = [(int(count), int(step)) for count, step in json.loads(self._storage.read(path))]
            except NotFoundError:
                break
            except (ValueError, TypeError) as error:
                raise InputError("not a list of steps", where=self._storage.place(path)) from error
            noted += self._last
        self.count = len(noted)
        return noted

    def note(self, count: int, step: Step) -> int:
        """Note a step, and return its number."""
        if self.count % NOTED == 0:
            self._last = []
        self._last.append((count, int(step)))
        self._storage.write(self._path(self.count), json.dumps(self._last).encode())
        self.count += 1
        return self.count - 1

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number // NOTED:08d}.json"


@dataclass
class _File:
    """A file that is followed: its place, and how far it was walked; ``id`` is a SHA-256 up to its first packet."""

    path: str
    walk: PcapWalk | PcapngWalk
    id: str = ""
    packets: int = 0


class FollowedFiles:
    """
    Follows a file, or the files of a folder in the natural order of their names.

    Args:
        storage: keeps the steps, by the address of what is followed. stop: ends it, with all whole messages given.
        poll_s: between two looks at the file. idle_s: without a new packet, after which held messages are given.

    Attributes:
        dropped: nothing, since files wait. warnings: what was damaged.
    """

    def __init__(
        self, source: str, asked: Asked, storage: Storage, stream: str, stop: Event, *,
        poll_s: float = 0.25, idle_s: float = 2.0,
    ) -> None:  # fmt: skip
        self._source, self._asked, self._stop = source, asked, stop
        self._poll, self._idle = poll_s, idle_s
        self._steps = _Steps(storage, f"live/{stream}/{sha256(source.encode()).hexdigest()[:16]}")
        self._edge = LiveEdge(asked)
        self._files: list[_File] = []
        self.warnings: list[str] = []
        self.dropped = 0

    @property
    def known(self) -> Known | None:
        """The protocol, as soon as packets of it were seen."""
        return self._edge.known

    def batches(self) -> Iterator[Keyed | None]:
        """
        Yield batches as they are complete, and None where what was yielded shall become durable.

        Raises:
            InputError: a file is no pcap or pcapng, or not the one that was followed before.
        """
        for number, (count, step) in enumerate(self._steps.read()):
            read = self._read(count) if count else (_NOTHING, 0)
            if read is None or read[1] != count:
                raise InputError("it does not hold what it held when it was followed before", where=self._source)
            yield from self._take(read[0], Step(step), number)
        yield None
        waited, paused = 0.0, False
        while not self._stop.is_set():
            packets = self._read(PIECE)
            if packets is not None:
                yield from self._step(packets, Step.GO_ON)
                waited, paused = 0.0, False
                continue
            self._stop.wait(self._poll)
            waited += self._poll
            if waited >= self._idle and not paused:
                paused = True
                yield from self._step(None, Step.PAUSE)
        if not paused:
            yield from self._step(None, Step.PAUSE)

    def _step(self, read: tuple[Packed, int] | None, step: Step) -> Iterator[Keyed | None]:
        packed, count = read or (_NOTHING, 0)
        yield from self._take(packed, step, self._steps.note(count, step))
        yield None

    def _take(self, packed: Packed, step: Step, number: int) -> Iterator[Keyed]:
        for file, batch in self._edge.take(packed, step).items():
            capture = self._files[file].id
            for start, rows in cut(batch):
                yield Keyed(f"live/{capture[:32]}/{number}/{start}", capture, rows)

    def _read(self, most: int) -> tuple[Packed, int] | None:
        """Return the next packets, all of one file, and how many there were; None where there are none yet."""
        if not self._files and not self._next_file():
            return None
        while True:
            file = self._files[-1]
            data = _content(file.path)
            index = file.walk.next(data, self._asked.limits, most)
            if len(index):
                break
            if not self._next_file():
                return None
            if file.walk.reason != COMPLETE:
                self.warnings += damage(file.walk.reason, file.packets, min(file.walk.at, len(data)), len(data))
        self.warnings += index.warnings
        file.id = file.id or sha256(data[: int(index.start[0] + index.captured[0])].tobytes()).hexdigest()
        packed = Packed.of(data, decode(data, index), index, len(self._files) - 1, file.packets)
        file.packets += len(index)
        if file.walk.reason not in (COMPLETE, TOO_MANY, CUT_HEADER, CUT_PACKET):
            self.warnings += damage(file.walk.reason, file.packets, file.walk.at, len(data))
        return packed, len(index)

    def _next_file(self) -> bool:
        """Go to the file that follows, where there is one and its format can be seen."""
        path = self._following()
        magic = b"" if path is None else _content(path)[:4].tobytes()
        if path is None or len(magic) < 4:
            return False
        if magic != PCAPNG_MAGIC and magic not in MAGICS:
            raise InputError("only pcap and pcapng files are followed", where=path)
        self._files.append(_File(path, PcapngWalk() if magic == PCAPNG_MAGIC else PcapWalk()))
        return True

    def _following(self) -> str | None:
        """Return the path of the file after the last one."""
        try:
            paths = [each.uri for each in list_inputs(self._source)]
        except InputError:
            return None  # nothing is there yet
        if not self._files:
            return paths[0]
        later = paths[paths.index(self._files[-1].path) + 1 :] if self._files[-1].path in paths else []
        return later[0] if later else None


def _content(path: str) -> NDArray[np.uint8]:
    """Return what a file holds now, read-only."""
    try:
        with Path(path).open("rb") as file:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except ValueError:
        return np.frombuffer(b"", np.uint8)
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=path) from error
    return data
