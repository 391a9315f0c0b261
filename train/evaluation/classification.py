"""Judge the classifier on labelled captures: split by capture, never by message; some protocols are kept unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score, roc_auc_score

from ...cluster.storage import Storage
from ...discovery.classifier.features import AT_SIZE, FRONT
from ...discovery.classifier.model import Model
from ...discovery.classifier.vote import log_softmax
from ..classifier.examples import Examples, folds_of, groups_of
from ..classifier.source import FOLDS, JUDGING, KnownProtocols, data_of
from ..classifier.task import ClassifierTask
from ..classifier.vote import Heard, evaluate
from ..labels import Labels
from ..loop import new_record, train
from ..runs import Run
from ..sets import TrainingSets
from ..settings import TrainSettings

LEAST_CAPTURES = 5
DNS_LIKE = ("dns", "llmnr", "mdns", "nbns")
BINS = 10
MEMBERS = ("forest", "convolution", "recurrence")
UNKNOWN_SHARE = 0.5  # that the vote is fitted for: known and unknown count the same

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """
    Groups that were classified.

    Attributes:
        probability: (groups, classes), the last class is "none of these"; label: true class, the last one for protocols
            that the model does not know; names: of the classes.
    """

    probability: Floats
    label: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which groups are of protocols that the model knows."""
        return self.label < len(self.names)

    def per_protocol(self, together: Sequence[str] = ()) -> dict[str, float]:
        """Return F1 of each known protocol over the groups of known ones; ``together`` count as one protocol."""
        index = np.arange(len(self.names) + 1)
        inside = [i for i, name in enumerate(self.names) if name in together]
        index[inside] = inside[0] if inside else 0
        label, found = index[self.label[self.known]], index[self.probability[self.known, :-1].argmax(axis=1)]
        present = sorted(set(label.tolist()))
        scores = f1_score(label, found, labels=present, average=None, zero_division=0)
        return {self.names[i]: float(score) for i, score in zip(present, scores, strict=True)}

    def macro(self, together: Sequence[str] = (), without: Sequence[str] = ()) -> float:
        """Return the mean F1 over protocols, those in ``without`` left out of the mean."""
        scores = self.per_protocol(together)
        return float(np.mean([score for name, score in scores.items() if name not in without]))

    def auroc(self) -> float:
        """Return the area under the curve of telling unknown from known by one less the likeliest known protocol."""
        return float(roc_auc_score(~self.known, 1 - self.probability[:, :-1].max(axis=1)))

    def reliability(self, named: bool = False) -> list[tuple[float, float, float]]:
        """
        Return (mean probability, share that is right, share of the groups) per tenth of the probability.

        Of the groups of known protocols, and the probability of the likeliest given that it is known; with ``named`` of
        all groups, the unknown ones ``UNKNOWN_SHARE`` of them, and the probability as it is told: where the protocol is
        not known, no name is right.
        """
        chance = self.probability[:, :-1]
        sure, right = chance.max(axis=1), chance.argmax(axis=1) == self.label
        weight = np.where(self.known, 1.0, 0.0)
        if named:
            share = np.where(self.known, 1 - UNKNOWN_SHARE, UNKNOWN_SHARE)
            weight = share / np.where(self.known, self.known.sum(), max((~self.known).sum(), 1))
        else:
            sure = sure / np.maximum(chance.sum(axis=1), 1e-30)
        part = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
        total, said, held = (np.bincount(part, weight * value, BINS) for value in (np.ones_like(sure), sure, right))
        return [
            (float(said[i] / total[i]), float(held[i] / total[i]), float(total[i] / total.sum()))
            for i in range(BINS)
            if total[i]
        ]

    def calibration_error(self, named: bool = False) -> float:
        """Return the expected calibration error over the tenths (Naeini et al. 2015)."""
        return sum(abs(sure - right) * share for sure, right, share in self.reliability(named))


def judged(model: Model, heard: Sequence[Heard], names: tuple[str, ...]) -> Judged:
    """Return the vote's answers to what the members said."""
    found = np.concatenate([model.vote.probabilities(one.logs, one.sizes) for one in heard])
    return Judged(found.astype(np.float64), np.concatenate([one.label for one in heard]), names)


def of_member(heard: Sequence[Heard], member: int, names: tuple[str, ...]) -> Judged:
    """Return the answers of one member alone."""
    found = np.concatenate([np.exp(log_softmax(one.logs[member].astype(np.float64))) for one in heard])
    return Judged(found, np.concatenate([one.label for one in heard]), names)


def plain_forest(known: Examples, size: int) -> Judged:
    """Return what a forest on the first 32 bytes and the length says; of groups by the mean of its probabilities."""
    columns, fold = [*range(FRONT), AT_SIZE], folds_of(known, 2 * FOLDS) % FOLDS
    found, labels = [], []
    for k in range(FOLDS):
        rows, asked = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        forest = RandomForestClassifier(60, random_state=0, n_jobs=1)
        forest.fit(known.inputs.features[rows][:, columns], known.label[rows])
        shares = np.zeros((len(known.label), len(known.protocols) + 1))
        shares[np.ix_(asked, forest.classes_)] = forest.predict_proba(known.inputs.features[asked][:, columns])
        groups = groups_of(known, asked, size)
        found.append(np.array([shares[group].mean(axis=0) for group in groups]))
        labels.append(known.label[[group[0] for group in groups]])
    return Judged(np.concatenate(found), np.concatenate(labels), known.protocols)


def cross_validated(
    files: dict[str, bytes], strange: Examples, examples: int, tell: Callable[[str], object]
) -> dict[str, dict[int, Judged]]:
    """
    Return the answers to every message by a model that saw none of its capture.

    Each model is one training as ``qbitel train classifier`` runs it, with another fifth of the captures to judge by.

    Args:
        files: a training set, one Parquet file a protocol. strange: protocols that no model saw; each model is asked
            about a fifth of them.

    Returns:
        By "vote" and the names of the members, by group size (1 and 32).
    """
    said: dict[int, list[tuple[Model, list[Heard]]]] = {1: [], 32: []}
    other = folds_of(strange, FOLDS)
    for fold in range(FOLDS):
        model, source = _trained(files, fold, examples, tell)
        data = data_of(source)
        for size, parts in said.items():
            here = evaluate(model, data.known, np.flatnonzero(data.part == JUDGING), size)
            there = evaluate(model, strange, np.flatnonzero(other == fold), size)
            label = np.full(len(there.sizes), len(model.protocols))
            parts.append((model, [here, Heard(there.logs, there.sizes, label)]))
    made = {"vote": {size: together([judged(m, h, m.protocols) for m, h in parts]) for size, parts in said.items()}}
    for index, name in enumerate(MEMBERS):
        made[name] = {
            size: together([of_member(h, index, m.protocols) for m, h in parts]) for size, parts in said.items()
        }
    return made


def _trained(
    files: dict[str, bytes], fold: int, examples: int, tell: Callable[[str], object]
) -> tuple[Model, KnownProtocols]:
    with TemporaryDirectory() as folder:
        storage = Storage(folder)
        version = TrainingSets(storage).add("known", files)
        labels = Labels(storage.uri, f"known@{version.number}", version.digest)
        source = KnownProtocols(labels, fold=fold)
        settings = TrainSettings.model_validate(
            {**ClassifierTask.defaults, "task": ClassifierTask.name, "examples": examples}
        )
        run = Run(storage, f"fold{fold}")
        task: Any = ClassifierTask(source)
        record = train(task, new_record(run.name, settings), run)
        tell(f"fold {fold + 1} of {FOLDS}: {record.figures}")
        return Model.of(load(run.weights())), source


def together(parts: Sequence[Judged]) -> Judged:
    """Return the answers of several models over the same classes as one."""
    return Judged(
        np.concatenate([p.probability for p in parts]), np.concatenate([p.label for p in parts]), parts[0].names
    )


def of_model(model: Model, examples: Examples, size: int) -> Judged:
    """Return what a finished model says of examples that it never saw; protocols it does not know count as unknown."""
    index = {name: i for i, name in enumerate(model.protocols)}
    mapped = np.array([index.get(name, len(model.protocols)) for name in examples.protocols])
    heard = evaluate(model, examples, np.arange(len(examples.label)), size)
    return judged(model, [Heard(heard.logs, heard.sizes, mapped[heard.label])], model.protocols)
