"""Propose a specification from a sample: types, relations, boundaries, layout, meaning, in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .analyst import AnalystLabels
from .boundaries import default_segmenter
from .boundaries.across_types import draw_together
from .layout import build_layouts
from .relations import find_relations
from .sample import Sample
from .segmenter import Segmenter
from .semantics import label_fields
from .settings import DiscoverySettings
from .spec import Element, Field, MessageType, ProtocolSpec, Rest
from .types import TypeModel, find_types


class Report(Protocol):
    """What a stage may write about itself."""

    message: str


Stage = Callable[[str], AbstractContextManager[Report]]


def propose(
    base: ProtocolSpec,
    sample: Sample,
    settings: DiscoverySettings,
    stage: Stage,
    keep: Callable[[ProtocolSpec], ProtocolSpec],
    segmenter: Segmenter | None = None,
    labels: AnalystLabels | None = None,
) -> ProtocolSpec:
    """
    Return ``base`` filled with the types, layouts, constraints and evidence that the sample supports.

    Args:
        base: carries what is known before: name, framing, provenance.
        sample: distinct messages in canonical order; nothing else is read.
        stage: a context manager factory that each stage runs in (progress, cancellation, reports).
        keep: told of the specification as it grows, so that a failed stage does not lose what was found before it.
        segmenter: what finds boundaries; the package's default where None.
        labels: what an analyst said of messages.
    """
    if not len(sample.view):
        return base
    segmenter, labels = segmenter or default_segmenter(), labels or AnalystLabels()
    with stage("types") as report:
        model, type_of_row = _present(labels.types(find_types(sample, settings), sample), sample)
        keep(base.model_copy(update={"types": _types(model, [[]] * len(model.types)), "key": model.key}))
        report.message = f"{len(model.types)} types"
    with stage("relations") as report:
        found = find_relations(sample, type_of_row, len(model.types), settings)
        findings = labels.findings(model, found)
        report.message = f"{len(findings)} findings"
    with stage("boundaries") as report:
        probabilities = segmenter.boundary_probabilities(sample, type_of_row, findings)
        probabilities = draw_together(sample, type_of_row, probabilities)
        probabilities = labels.probabilities(model, type_of_row, sample, probabilities)
        report.message = segmenter.name
    with stage("layout") as report:
        layouts = build_layouts(sample, model, type_of_row, probabilities, findings, settings)
        types = _types(model, layouts.elements)
        evidence = {**base.evidence, **model.evidence, **layouts.evidence}
        parts = {"types": types, "groups": layouts.groups, "key": model.key, "evidence": evidence}
        spec = keep(base.model_copy(update=parts))
        report.message = f"{sum(len(t.elements) for t in types)} elements"
    with stage("semantics") as report:
        spec = keep(label_fields(spec, sample, settings))
        report.message = f"{len(spec.evidence)} claims"
    return spec


def _types(model: TypeModel, layouts: Sequence[list[Element]]) -> list[MessageType]:
    return [
        MessageType(name=t.name, label=t.label, guards=t.guards, elements=elements or [PAYLOAD])
        for t, elements in zip(model.types, layouts, strict=True)
    ]


def _present(model: TypeModel, sample: Sample) -> tuple[TypeModel, NDArray[np.int32]]:
    """Leave out types that no message of the sample has, so that a message of such a kind stays visible as unknown."""
    type_of_row = model.assign(sample.view)
    present = np.bincount(type_of_row[type_of_row >= 0], minlength=len(model.types)) > 0
    if present.all():
        return model, type_of_row
    dropped = {f"type:{t.name}" for t, kept in zip(model.types, present, strict=True) if not kept}
    kept_model = replace(
        model,
        types=[t for t, kept in zip(model.types, present, strict=True) if kept],
        evidence={claim: evidence for claim, evidence in model.evidence.items() if claim not in dropped},
    )
    return kept_model, kept_model.assign(sample.view)


PAYLOAD = Field(name="payload", width=Rest(), semantic="payload")
