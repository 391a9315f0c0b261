"""Where journals lie: a storage and a catalog by their addresses, which travel to other processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from sqlalchemy import Engine

from .database import open_engine, shown
from .manifest import Manifest
from .placements import Placements
from .storage import Storage


@dataclass(frozen=True)
class State:
    """
    Addresses of the parts; each part is opened when it is first asked for, once a copy.

    Attributes:
        uri: of the storage. catalog: of the database: an SQLite file, or a server's ``postgresql://…``.
    """

    uri: str
    catalog: str = field(repr=False)

    @cached_property
    def storage(self) -> Storage:
        """Segments and snapshots."""
        return Storage(self.uri)

    @cached_property
    def manifest(self) -> Manifest:
        """What counts of them."""
        return Manifest(self.engine)

    @cached_property
    def placements(self) -> Placements:
        """Where virtual shards shall be."""
        return Placements(self.engine)

    @cached_property
    def engine(self) -> Engine:
        """The database of all tables."""
        return open_engine(self.catalog, durable=True)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell this state from others of a cluster, whatever the catalog's password."""
        return sha256(f"{self.uri}\n{shown(self.catalog)}".encode()).hexdigest()[:8]

    def __reduce__(self) -> tuple[type[State], tuple[str, str]]:
        return State, (self.uri, self.catalog)
