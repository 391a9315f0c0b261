"""build_layouts: from types, boundary probabilities and findings to the elements of each message type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Element, Evidence
from ..types import TypeModel
from .assemble import Assembler, agree, proposed_again
from .claims import attach, byte_order, proven, trailer
from .hypothesis import Hypothesis
from .table import Spans, Table, joined
from .text import is_text


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
    tables = [_table(sample, np.flatnonzero(type_of_row == t), probabilities) for t in range(len(type_model.types))]
    mine = [[finding for finding in findings if t in finding.types] for t in range(len(tables))]
    layouts = Layouts([])
    drafts = [_Draft.of(table, found, layouts.groups, settings) for table, found in zip(tables, mine, strict=True)]
    _share([draft for draft in drafts if draft is not None], settings)
    for proposed, draft in zip(type_model.types, drafts, strict=True):
        elements, evidence = draft.finish() if draft is not None else ([], {})
        layouts.elements.append(elements[: settings.max_fields])
        layouts.evidence.update({claim.format(type=proposed.name): value for claim, value in evidence.items()})
    return layouts


def _table(sample: Sample, rows: NDArray[np.int64], probabilities: NDArray[np.float32] | None) -> Table:
    view = sample.view
    starts = view.starts[rows]
    return Table(view.data, probabilities, rows, starts, starts, starts + view.lengths[rows], sample.held_out[rows])


@dataclass
class _Draft:
    """A type between the search for its structure and its layout; types share what they find in between."""

    assembler: Assembler
    body: Table
    tail: list[Element]
    spans: Spans
    findings: list[Finding]
    structure: Hypothesis | None

    @classmethod
    def of(
        cls, table: Table, findings: list[Finding], groups: dict[str, list[Element]], settings: DiscoverySettings
    ) -> _Draft | None:
        """Search the structure of one type; None where it has no messages."""
        if not len(table):
            return None
        assembler = Assembler(settings, groups, endianness=byte_order(findings))
        body, tail = trailer(assembler.names, table, findings)
        spans = proven(findings, int(body.sizes.min()))
        return cls(assembler, body, tail, spans, findings, assembler.search(body, 0, spans))

    def finish(self) -> tuple[list[Element], dict[str, Evidence]]:
        """Return the elements of the type and the evidence of its claims (``{type}`` stands for its name)."""
        elements = self.assembler.build(self.body, 0, self.spans, self.structure)
        elements, evidence = attach(elements, self.tail, self.findings)
        for number, found in enumerate(self.assembler.evidence):
            evidence[f"layout:{{type}}.{number}"] = found
        return elements, evidence


def _share(drafts: list[_Draft], settings: DiscoverySettings) -> None:
    """
    Give a type without structure that of another where all its messages obey it.

    A type of few messages, or of messages alike, cannot prove what its siblings prove. A structure is shared that the
    messages of all types that obey it propose again when taken together; of several the one that most obey.
    """
    lacking = [draft.body for draft in drafts if draft.structure is None and not is_text(draft.body)]
    known = list(dict.fromkeys(draft.structure for draft in drafts if draft.structure is not None))
    if len(lacking) > 1:
        together = drafts[0].assembler.search(joined(lacking), 0)
        # lengths of different types share a factor for many reasons: no evidence of records
        if together is not None and together.detector != "records" and together not in known:
            known.append(together)
    if not known or not lacking:
        return
    obeyed = [[bool(len(d.body)) and bool(s.fits(d.body).all()) for d in drafts] for s in known]
    pooled = [
        joined([d.body for d, fits in zip(drafts, row, strict=True) if fits or d.structure == s])
        for s, row in zip(known, obeyed, strict=True)
    ]
    weight = [len(table) if proposed_again(s, table, settings) else 0 for s, table in zip(known, pooled, strict=True)]
    order = sorted(range(len(known)), key=lambda k: (-weight[k], -known[k].bits))
    total = sum(len(draft.body) for draft in drafts)
    for place, draft in enumerate(drafts):
        if draft.structure is not None or is_text(draft.body):
            continue
        fitting = (known[k] for k in order if obeyed[k][place] and 4 * weight[k] >= total)
        draft.structure = next(
            (s for s in fitting if agree(s, draft.spans) and s.offset < draft.body.sizes.min()), None
        )
