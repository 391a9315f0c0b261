"""Where journals lie: a storage and a catalog by their addresses, which travel to other processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from .catalog import open_engine
from .manifest import Manifest
from .placements import Placements
from .storage import Storage


@dataclass(frozen=True)
class State:
    """
    Addresses of the parts; each part is opened when it is first asked for, once a copy.

    Attributes:
        uri: of the storage. catalog: file of the database.
    """

    uri: str
    catalog: str

    @cached_property
    def storage(self) -> Storage:
        """Segments and snapshots."""
        return Storage(self.uri)

    @cached_property
    def manifest(self) -> Manifest:
        """What counts of them."""
        return Manifest(self._engine)

    @cached_property
    def placements(self) -> Placements:
        """Where virtual shards shall be."""
        return Placements(self._engine)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(Path(self.catalog), durable=True)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell this state from others of a cluster."""
        return sha256(f"{self.uri}\n{self.catalog}".encode()).hexdigest()[:8]

    def __reduce__(self) -> tuple[type[State], tuple[str, str]]:
        return State, (self.uri, self.catalog)
