"""Judge the classifier on labelled captures: split by capture, never by message; some protocols are kept unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score, roc_auc_score

from ...discovery.classifier.features import AT_SIZE, FRONT
from ...discovery.classifier.model import Model
from ..classifier.batches import stranger_sets
from ..classifier.examples import Examples, folds_of, groups_of
from ..classifier.fit import Heard, evaluate, fit_members, fit_vote, hear, with_vote

LEAST_CAPTURES = 5
DNS_LIKE = ("dns", "llmnr", "mdns", "nbns")
BINS = 10

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

    def reliability(self) -> list[tuple[float, float, int]]:
        """Return (mean probability, share that is right, groups) per tenth of the probability of the likeliest."""
        sure = self.probability[self.known, :-1].max(axis=1)
        right = self.probability[self.known, :-1].argmax(axis=1) == self.label[self.known]
        part = np.minimum((sure * BINS).astype(int), BINS - 1)
        return [
            (float(sure[part == i].mean()), float(right[part == i].mean()), int((part == i).sum()))
            for i in range(BINS)
            if (part == i).any()
        ]

    def calibration_error(self) -> float:
        """Return the expected calibration error over the tenths (Naeini et al. 2015)."""
        parts = self.reliability()
        total = sum(count for _, _, count in parts)
        return sum(abs(sure - right) * count for sure, right, count in parts) / total


def judged(model: Model, heard: Sequence[Heard], names: tuple[str, ...]) -> Judged:
    """Return the vote's answers to what the members said."""
    found = np.concatenate([model.vote.probabilities(one.logs, one.sizes) for one in heard])
    return Judged(found.astype(np.float64), np.concatenate([one.label for one in heard]), names)


def plain_forest(known: Examples, fold: NDArray[np.int64], size: int) -> Judged:
    """Return what a forest on the first 32 bytes and the length says; of groups by the mean of its probabilities."""
    columns = [*range(FRONT), AT_SIZE]
    found, labels = [], []
    for k in range(int(fold.max()) + 1):
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
    known: Examples, strange: Examples, steps: int, tell: Callable[[str], object], folds: int = 5
) -> tuple[dict[int, Judged], Model]:
    """
    Return the answers to every message by a model that saw none of its capture, by group size (1 and 32).

    The weights of the vote that judges a fold are fitted on the answers to the other folds and on simulated protocols
    that no member saw. ``strange`` are protocols that no model saw; the model of each fold is asked about a
    fifth of them.

    Returns:
        The answers, and the model of the last fold (for timing).
    """
    fold, other = folds_of(known, folds), folds_of(strange, folds)
    learn, kept = stranger_sets()
    models, heard = [], []
    for k in range(folds):
        model = fit_members(known.take(np.flatnonzero(fold != k)), learn, steps, k)
        models.append(model)
        heard.append(hear(model, known, np.flatnonzero(fold == k), kept))
        tell(f"fold {k + 1}/{folds}")
    answers = {1: [], 32: []}  # type: dict[int, list[Judged]]
    for k, model in enumerate(models):
        vote = fit_vote([one for j in range(folds) if j != k for one in heard[j]])
        voting = with_vote(model, vote, model.about)
        for size in answers:
            said = [evaluate(voting, known, np.flatnonzero(fold == k), size)]
            unknown = evaluate(voting, strange, np.flatnonzero(other == k), size)
            said.append(Heard(unknown.logs, unknown.sizes, np.full(len(unknown.sizes), len(known.protocols))))
            answers[size].append(judged(voting, said, known.protocols))
        models[k] = voting
    return {size: together(parts) for size, parts in answers.items()}, models[-1]


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
