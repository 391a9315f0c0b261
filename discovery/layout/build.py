"""build_layouts: from types, boundary probabilities and findings to the elements of each message type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Element, Evidence, Rest
from ..types import TypeModel
from .fields import plain
from .sharing import Draft, share
from .table import Table


@dataclass(frozen=True)
class Layouts:
    """
    What the layout stage hands on.

    Attributes:
        elements: for each message type, in the order of the type model; empty where a type has no messages.
        groups: layouts that elements refer to by name.
        evidence: claim (``layout:<type>``, ``field:<type>.<name>``) → why it stands.
    """

    elements: list[list[Element]]
    groups: dict[str, list[Element]] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)


def build_layouts(
    sample: Sample,
    type_model: TypeModel,
    type_of_row: NDArray[np.int32],
    probabilities: NDArray[np.float32] | None,
    findings: Sequence[Finding],
    settings: DiscoverySettings,
) -> Layouts:
    """
    Return the layout of every message type.

    Args:
        sample: distinct messages; rows not held out propose, held-out rows falsify.
        type_of_row: int32, index of each row's type, -1 for none.
        probabilities: (rows, offsets) float32, the chance of a boundary before each byte; None: structure and findings
            alone decide.
        findings: proven runs of bytes; hard ones fix boundaries.
    """
    layouts = Layouts([])
    drafts: list[Draft | None] = []
    for index, proposed in enumerate(type_model.types):
        table = _table(sample, np.flatnonzero(type_of_row == index), probabilities)
        mine = [finding for finding in findings if index in finding.types]
        nest = repr(proposed.guards[:1])
        drafts.append(Draft.of(table, mine, layouts.groups, settings, nest) if len(table) else None)
    share([draft for draft in drafts if draft is not None], settings)
    for proposed, draft in zip(type_model.types, drafts, strict=True):
        elements, evidence = draft.finish() if draft is not None else ([], {})
        layouts.elements.append(_within(elements, settings.max_fields))
        layouts.evidence.update({claim.format(type=proposed.name): value for claim, value in evidence.items()})
    return layouts


def _within(elements: list[Element], limit: int) -> list[Element]:
    """Return so many elements at most; what the budget leaves undivided is the last, to the end of the message."""
    if len(elements) <= limit:
        return elements
    return [*elements[: limit - 1], plain(elements[limit - 1].name, Rest(), semantic="payload")]


def _table(sample: Sample, rows: NDArray[np.int64], probabilities: NDArray[np.float32] | None) -> Table:
    view = sample.view
    starts = view.starts[rows]
    return Table(view.data, probabilities, rows, starts, starts, starts + view.lengths[rows], sample.held_out[rows])
