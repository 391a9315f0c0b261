"""Lay out made-up messages with real parts, and read them back with the real parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.findings import Finding
from qbitel.discovery.layout import Layouts, build_layouts
from qbitel.discovery.parser import Parser
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Field, MessageType, ProtocolSpec, Repeat, walk
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import ProposedType, TypeModel

Fields = Sequence[bytes]  # a message as the bytes of its fields, one after the other


@dataclass
class Outcome:
    """What became of the messages: how many are read as they were made, and the specification."""

    exact: float
    explained: float
    spec: ProtocolSpec
    layouts: Layouts

    @property
    def fields(self) -> list[Field]:
        """Every field of the layout and its groups."""
        found = [*walk(self.layouts.elements[0]), *(e for group in self.layouts.groups.values() for e in walk(group))]
        return [element for element in found if isinstance(element, Field)]

    @property
    def repeats(self) -> list[Repeat]:
        """Every repeat of the layout."""
        return [element for element in walk(self.layouts.elements[0]) if isinstance(element, Repeat)]


@pytest.fixture(scope="session")
def lay_out() -> Callable[..., Outcome]:
    """
    Return a function that lays out messages, given with or without where their fields start.

    They are of one type but where others are given, the last of which takes all that is left.
    """

    def run(
        messages: Sequence[Fields], *, hints: bool = False, findings: Sequence[Finding] = (),
        types: Sequence[ProposedType] = (ProposedType("t0", "all", []),),
    ) -> Outcome:  # fmt: skip
        truth = {b"".join(fields): np.cumsum([len(f) for f in fields if f], dtype=np.int64)[:-1] for fields in messages}
        settings = DiscoverySettings()
        sample = StatisticalAnalyzer(settings).analyze(MessageBatch.from_payloads(list(truth))).sample()
        view = sample.view
        probabilities = np.zeros((len(view), int(view.lengths.max())), np.float32)
        for row in range(len(view)):
            probabilities[row, : int(view.lengths[row])] = 1 / 16
            probabilities[row, truth[view.payload(row)]] = 15 / 16
        model = TypeModel(list(types), None)
        of_row = model.assign(view)
        layouts = build_layouts(sample, model, of_row, probabilities if hints else None, findings, settings)
        found = [
            MessageType(name=proposed.name, guards=proposed.guards, elements=elements)
            for proposed, elements in zip(types, layouts.elements, strict=True)
        ]
        spec = ProtocolSpec(types=found, groups=layouts.groups)
        parsed = Parser(spec).parse_batch(view)
        exact = [parsed.boundaries(row).tolist() == truth[view.payload(row)].tolist() for row in range(len(view))]
        return Outcome(float(np.mean(exact)), float(parsed.explained.mean()), spec, layouts)

    return run
