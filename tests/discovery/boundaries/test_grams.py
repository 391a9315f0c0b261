"""Pairs of bytes wherever they stand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.boundaries.context import lay_flat
from qbitel.discovery.boundaries.grams import count_grams, gram_features, gram_index


def test_the_byte_after_a_pair_is_as_free_as_it_was_seen_to_be() -> None:
    """After ``ab`` come c, c, d and e: 1.5 bits; before ``bc`` comes only a: none."""
    view = MessageBatch.from_payloads([b"abc", b"abcx", b"abd", b"abe"]).view()
    grams = count_grams(view, view.lengths)
    assert grams.after[ord("a") << 8 | ord("b")] == pytest.approx(1.5)
    assert grams.before[ord("b") << 8 | ord("c")] == 0
    assert grams.pairs[ord("a") << 8 | ord("b")] == 4


def test_features_are_those_of_the_pairs_around_a_position() -> None:
    """At the last byte of ``abc`` the pair before it is ``ab``, the pair across it ``bc``; the padding has zeros."""
    view = MessageBatch.from_payloads([b"abc", b"abd"]).view()
    grams, flat = count_grams(view, view.lengths), lay_flat(view, view.lengths)
    features = gram_features(grams, flat.values, flat.row)
    at = int(flat.at[0]) + 2
    assert features[at, 0] == pytest.approx(log2(2) / 16)
    assert features[at, 2] == pytest.approx(log2(3) / 16)
    assert features[at, 3] == pytest.approx(1 / 8)
    assert not features[flat.row < 0].any()


def test_positions_with_the_same_pair_share_a_number() -> None:
    """Numbers are equal exactly where the pair across is equal; the front of a message and the padding have none."""
    view = MessageBatch.from_payloads([b"abab", b"ba"]).view()
    flat = lay_flat(view, view.lengths)
    index = gram_index(count_grams(view, view.lengths), flat.values, flat.row)
    first, second = int(flat.at[0]), int(flat.at[1])
    assert index[first + 1] == index[first + 3] != index[first + 2] == index[second + 1]
    assert (index[[first, second]] == -1).all() and (index[flat.row < 0] == -1).all()
    assert len(np.unique(index[index >= 0])) == 2
