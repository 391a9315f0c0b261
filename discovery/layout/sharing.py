"""Drafts of the types' layouts, and the structures that types have in common."""

from __future__ import annotations

from dataclasses import dataclass

from ..findings import Finding
from ..settings import DiscoverySettings
from ..spec import Element, Evidence
from .assemble import Assembler, agree, proposed_again
from .blocks import Blocks, parted
from .claims import attach, byte_order, proven, trailer
from .fields import Names
from .hypothesis import Hypothesis
from .table import Spans, Table, joined
from .text import IS_TEXT, style_of, text_share

LEAST_SHARE = 4  # a structure is shared if one of so many messages obeys it


@dataclass
class Draft:
    """
    A type between the search for its structure and its layout; types share what they find in between.

    Attributes:
        nest: what the types have in common that a first key puts together and further keys divide.
    """

    assembler: Assembler
    body: Table
    tail: list[Element]
    spans: Spans
    findings: list[Finding]
    structures: list[Hypothesis]
    blocks: Blocks | None
    nest: str

    @property
    def structure(self) -> Hypothesis | None:
        """The structure of most evidence."""
        return self.structures[0] if self.structures else None

    @classmethod
    def of(
        cls, table: Table, findings: list[Finding], groups: dict[str, list[Element]], settings: DiscoverySettings,
        nest: str,
    ) -> Draft:  # fmt: skip
        """Search the structure of one type; ``table`` holds its messages, at least one."""
        table, findings, blocks = parted(table, findings)
        names = Names(reserved={finding.semantic for finding in findings})
        assembler = Assembler(settings, groups, names, endianness=byte_order(findings))
        body, tail = trailer(assembler.names, table, findings)
        spans = proven(findings, int(body.sizes.min()))
        return cls(assembler, body, tail, spans, findings, assembler.search(body, 0, spans), blocks, nest)

    def admits(self, structure: Hypothesis) -> bool:
        """Return whether a structure starts inside every message, all obey it, and it contradicts no finding."""
        starts = structure.offset < int(self.body.sizes.min())
        return starts and agree(structure, self.spans) and bool(structure.fits(self.body).all())

    def finish(self) -> tuple[list[Element], dict[str, Evidence]]:
        """Return the elements of the type and the evidence of its claims (``{type}`` stands for its name)."""
        elements = self.assembler.build(self.body, 0, self.spans, self.structures)
        elements, evidence = attach(self.assembler.names, elements, self.tail, self.findings)
        if self.blocks is not None:
            behind, claims = self.blocks.build(self.assembler)
            elements, evidence = [*elements, *behind], {**evidence, **claims}
        for number, found in enumerate(self.assembler.evidence):
            evidence[f"layout:{{type}}.{number}"] = found
        return elements, evidence


def share(drafts: list[Draft], settings: DiscoverySettings) -> None:
    """
    Give a type without structure that of another where all its messages obey it.

    A type of few messages, or of messages alike, cannot prove what its siblings prove. A structure is shared that the
    messages of all types that obey it propose again when taken together; of several the one that most obey. Types of
    one nest come first, then all.
    """
    texts = _in_one_style(drafts)
    for group in [*_nests(drafts), drafts]:
        lacking = [draft for draft in group if draft.structure is None and not any(draft is text for text in texts)]
        common = _common(group, lacking, settings) if lacking else []
        for draft in lacking:
            draft.structures = [structure for structure in common if draft.admits(structure)][:1]


def _nests(drafts: list[Draft]) -> list[list[Draft]]:
    """Return the types of each nest that is a part of all and holds several."""
    nests: dict[str, list[Draft]] = {}
    for draft in drafts:
        nests.setdefault(draft.nest, []).append(draft)
    return [nest for nest in nests.values() if 1 < len(nest) < len(drafts)]


def _in_one_style(drafts: list[Draft]) -> list[Draft]:
    """Give the types of text their common style, and return them; in a protocol of text half of a type will do."""
    shares = [(draft, text_share(draft.body)) for draft in drafts if draft.structure is None]
    sure = [draft for draft, text in shares if text >= IS_TEXT]
    mostly = 2 * _messages(sure) > _messages(drafts)
    texts = [draft for draft, text in shares if text >= IS_TEXT / (1 + mostly)]
    style = style_of(joined([draft.body for draft in sure])) if sure else None
    for draft in texts:
        draft.assembler.style = style
    return texts


def _messages(drafts: list[Draft]) -> int:
    return sum(len(draft.body) for draft in drafts)


def _common(drafts: list[Draft], lacking: list[Draft], settings: DiscoverySettings) -> list[Hypothesis]:
    """Return the structures that a fair part of all messages obeys and proposes together, most messages first."""
    least = _messages(drafts) / LEAST_SHARE
    wanted = [s for s in _structures(drafts, lacking) if any(draft.admits(s) for draft in lacking)]
    candidates = [_Candidate.of(structure, drafts, settings) for structure in wanted]
    candidates.sort(key=lambda candidate: (-candidate.weight, -candidate.structure.bits))
    return [candidate.structure for candidate in candidates if candidate.weight >= least]


def _structures(drafts: list[Draft], lacking: list[Draft]) -> list[Hypothesis]:
    """Return the structures that types have, and the one that those without have together."""
    known = list(dict.fromkeys(draft.structure for draft in drafts if draft.structure is not None))
    if len(lacking) > 1:
        found = lacking[0].assembler.search(joined([draft.body for draft in lacking]), 0)[:1]
        # lengths of different types share a factor for many reasons: no evidence of records
        known += [together for together in found if together.detector != "records" and together not in known]
    return known


@dataclass(frozen=True)
class _Candidate:
    """A structure, and the number of messages of the types that propose it together; 0 where they do not."""

    structure: Hypothesis
    weight: int

    @classmethod
    def of(cls, structure: Hypothesis, drafts: list[Draft], settings: DiscoverySettings) -> _Candidate:
        obeying = [d.body for d in drafts if d.structure == structure or structure.fits(d.body).all()]
        table = joined(obeying) if obeying else None
        proposed = table is not None and proposed_again(structure, table, settings)
        return cls(structure, len(table) if table is not None and proposed else 0)
