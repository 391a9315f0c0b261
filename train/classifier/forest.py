"""Fit the forest with scikit-learn and lay it out as the arrays that ``discovery.classifier.forest`` walks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from ...discovery.classifier.forest import LEAF, Forest

TREES, LEAST = 100, 3


def fit_forest(
    features: NDArray[np.int32], label: NDArray[np.int64], weight: NDArray[np.float64], classes: int, seed: int = 0
) -> Forest:
    """Fit on messages with weights; every class from 0 to ``classes`` - 1 must occur."""
    made = RandomForestClassifier(TREES, min_samples_leaf=LEAST, random_state=seed, n_jobs=1)
    made.fit(features.astype(np.float32), label, sample_weight=weight)
    nodes: list[tuple[int, int, int]] = []
    leaves: list[NDArray[np.float64]] = []
    roots = []
    for one in made.estimators_:
        roots.append(len(nodes))
        _lay_out(one.tree_, nodes, leaves)
    share = np.rint(np.array(leaves) * 255).astype(np.uint8)
    feature, threshold, right = (np.array(column) for column in zip(*nodes, strict=True))
    where = np.nonzero(share)
    return Forest(
        np.array(roots, np.int32), feature.astype(np.uint8), threshold.astype(np.int32), right.astype(np.int32),
        np.concatenate([[0], np.cumsum((share > 0).sum(axis=1))]).astype(np.int32),
        where[1].astype(np.uint8), share[where], classes,
    )  # fmt: skip


def _lay_out(tree: object, nodes: list[tuple[int, int, int]], leaves: list[NDArray[np.float64]]) -> None:
    """Append a tree in preorder; features are whole numbers, so thresholds are rounded down."""
    left, right, feature = tree.children_left, tree.children_right, tree.feature  # type: ignore[attr-defined]
    threshold = np.floor(tree.threshold)  # type: ignore[attr-defined]
    value = tree.value[:, 0]  # type: ignore[attr-defined]
    waiting: list[tuple[int, int]] = [(0, -1)]
    while waiting:
        node, parent = waiting.pop()
        here = len(nodes)
        if parent >= 0:
            nodes[parent] = (*nodes[parent][:2], here)
        if left[node] < 0:
            nodes.append((LEAF, 0, len(leaves)))
            leaves.append(value[node] / value[node].sum())
        else:
            nodes.append((int(feature[node]), int(threshold[node]), 0))
            waiting += [(right[node], here), (left[node], -1)]


def weights_of(label: NDArray[np.int64], capture: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights: protocols count the same, captures within one by the square root of their messages."""
    _, pair, count = np.unique(np.stack([label, capture]), axis=1, return_inverse=True, return_counts=True)
    weight = count[pair.ravel()] ** -0.5
    total = np.bincount(label, weights=weight)
    made: NDArray[np.float64] = weight / total[label] * len(label) / len(total)
    return made
