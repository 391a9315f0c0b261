"""A random forest (Breiman 2001) as arrays, walked by one kernel; fitted by ``train.classifier.forest``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAF = 255  # in place of a feature


@njit(cache=True, nogil=True)
def _walk(features, roots, feature, threshold, right, first, share_class, share, out):  # type: ignore[no-untyped-def]
    """Add up the shares of the leaf that each message reaches in each tree; the left child is the next node."""
    for tree in range(len(roots)):
        for row in range(features.shape[0]):
            node = roots[tree]
            while feature[node] != LEAF:
                node = node + 1 if features[row, feature[node]] <= threshold[node] else right[node]
            leaf = right[node]
            for i in range(first[leaf], first[leaf + 1]):
                out[row, share_class[i]] += share[i]


@dataclass(frozen=True)
class Forest:
    """
    Trees in preorder, one after the other.

    Attributes:
        roots: int32, the first node of each tree.
        feature: uint8 of each node, ``LEAF`` in a leaf; threshold: int32, at most this goes to the next node.
        right: int32, the other child, or in a leaf its number.
        first: int32 (leaves + 1), where a leaf's shares begin; share_class: uint8; share: uint8, 255 in all or nearly.
        classes: how many classes there are.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.uint8]
    threshold: NDArray[np.int32]
    right: NDArray[np.int32]
    first: NDArray[np.int32]
    share_class: NDArray[np.uint8]
    share: NDArray[np.uint8]
    classes: int

    def probabilities(self, features: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return (messages, classes): the mean share of each class over the leaves that a message reaches."""
        counts = np.zeros((len(features), self.classes), np.int32)
        _walk(
            features, self.roots, self.feature, self.threshold, self.right, self.first, self.share_class, self.share,
            counts,
        )  # fmt: skip
        total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        made: NDArray[np.float32] = (counts / total).astype(np.float32)
        return made

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays under the names that ``read`` expects."""
        names = ("roots", "feature", "threshold", "right", "first", "share_class", "share")
        return {f"forest.{name}": getattr(self, name) for name in names}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], classes: int) -> Forest:
        """Make a forest of arrays from a file; they were checked by ``model.read``."""
        kinds = {"roots": np.int32, "feature": np.uint8, "threshold": np.int32, "right": np.int32, "first": np.int32,
                 "share_class": np.uint8, "share": np.uint8}  # fmt: skip
        return cls(
            **{name: np.ascontiguousarray(arrays[f"forest.{name}"], kind) for name, kind in kinds.items()},
            classes=classes,
        )
