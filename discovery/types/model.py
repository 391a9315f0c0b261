"""What type inference hands on: types with their guards, the key field, the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Evidence, Guard, KeyField
from .matching import first_match


@dataclass(frozen=True)
class ProposedType:
    """
    A type that all of ``guards`` hold for.

    Attributes:
        name: unique in its model; label: what a person reads, printable ASCII.
    """

    name: str
    label: str
    guards: list[Guard]


@dataclass(frozen=True)
class TypeModel:
    """
    Message types in the order in which they are tried.

    Attributes:
        key: the field whose value tells most about the rest of a message, None where no field does.
        evidence: claim (``type:<name>``, ``key:protocol``) → why it stands.
    """

    types: list[ProposedType]
    key: KeyField | None
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def assign(self, view: MessageView) -> NDArray[np.int32]:
        """Return for each message the index of the first type whose guards all hold, -1 where none does (int32)."""
        return first_match([proposed.guards for proposed in self.types], view)
