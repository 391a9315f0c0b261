"""
Parse forests: every derivation of a set of token sequences, packed, built once for the structure of a grammar.

The chart is filled from the last position to the first (CYK over a grammar binarised by suffixes: Younger 1967), and
only with what occurs, so that the nearly deterministic grammars of messages cost little more than linear time. The
inside-outside pass then runs over the edges of the forests (Lari and Young, "The estimation of stochastic context-free
grammars using the inside-outside algorithm", Computer Speech and Language 4, 1990; Goodman 1999 for the packed form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..errors import LimitError
from .binarise import NO_RULE, binarise
from .expectation import MAX_SCALED, inside_outside
from .rules import Rule

MAX_TOKENS = 512
MOST_BITS = 960  # of the largest factor that inside values carry; a double ends at 2**1024
BUILT_LEAST, BUILT_FOR_SQUARE = 1 << 11, 4  # edges built for n tokens: 2048 + 4 n * n; repeats need about n * n
EDGES_EACH, EDGES_LEAST, EDGES_MOST = 1 << 7, 1 << 14, 1 << 19  # edges kept: so many a sequence, least and most in all
BUILT_FOR_KEPT = 16
_NOT_DERIVED, _NOT_READ = -1, -2


@njit(cache=True, nogil=True)
def _node(symbol, start, end, table, chain, node, size):  # type: ignore[no-untyped-def]
    """Return the index of (symbol, start, end), made where it is new."""
    found = table[start, symbol]
    while found >= 0 and node[found, 2] != end:
        found = chain[found, 0]
    if found < 0:
        found = size[0]
        node[found, 0], node[found, 1], node[found, 2] = symbol, start, end
        chain[found, 0] = table[start, symbol]
        table[start, symbol] = found
        size[0] += 1
    return found


@njit(cache=True, nogil=True)
def _edge(head, rule, left, right, edge, size):  # type: ignore[no-untyped-def]
    edge[size[1], 0], edge[size[1], 1], edge[size[1], 2], edge[size[1], 3] = head, rule, left, right
    size[1] += 1


@njit(cache=True, nogil=True)
def _full(node, edge, size, work):  # type: ignore[no-untyped-def]
    return size[0] + len(work) > len(node) or size[1] + len(work) > len(edge) or size[1] > size[2]


@njit(cache=True, nogil=True)
def _enter(head, known, end, buckets, chain, size):  # type: ignore[no-untyped-def]
    if size[0] > known:
        chain[head, 1] = buckets[end]
        buckets[end] = head


@njit(cache=True, nogil=True)
def _close_unary(start, end, rank, first, unary, table, chain, node, edge, size, buckets, work):  # type: ignore[no-untyped-def]
    """Gather the nodes of a span into ``work``, lowest rank first, and add what unary rules make of them."""
    count, item = 0, buckets[end]
    while item >= 0:
        work[count] = item
        count += 1
        item = chain[item, 1]
    at = 0
    while at < count:
        best = at
        for i in range(at + 1, count):
            if rank[node[work[i], 0]] < rank[node[work[best], 0]]:
                best = i
        work[at], work[best] = work[best], work[at]
        symbol = node[work[at], 0]
        for i in range(first[symbol], first[symbol + 1]):
            known = size[0]
            head = _node(unary[i, 0], start, end, table, chain, node, size)
            if size[0] > known:
                work[count] = head
                count += 1
            _edge(head, unary[i, 1], work[at], -1, edge, size)
        at += 1
        if _full(node, edge, size, work) or count + 1 > len(work) - 1:
            return -1
    return count


@njit(cache=True, nogil=True)
def _join(start, end, count, first, binary, table, chain, node, edge, size, buckets, work):  # type: ignore[no-untyped-def]
    """Add what binary rules make of the nodes of a span and of finished nodes that begin where it ends."""
    for w in range(count):
        symbol = node[work[w], 0]
        for i in range(first[symbol], first[symbol + 1]):
            right = table[end, binary[i, 1]]
            while right >= 0:
                if _full(node, edge, size, work):
                    return False
                known = size[0]
                to = node[right, 2]
                head = _node(binary[i, 0], start, to, table, chain, node, size)
                _enter(head, known, to, buckets, chain, size)
                _edge(head, binary[i, 2], work[w], right, edge, size)
                right = chain[right, 0]
    return True


@njit(cache=True, nogil=True)
def _parse_from(start, tokens, grammar, chart, size, buckets, work):  # type: ignore[no-untyped-def]
    """Add all nodes that begin at one position; return False where the arrays are full."""
    rank, unary_first, unary, binary_first, binary = grammar
    table, chain, node, edge = chart
    known = size[0]
    leaf = _node(tokens[start], start, start + 1, table, chain, node, size)
    _enter(leaf, known, start + 1, buckets, chain, size)
    for end in range(start + 1, len(tokens) + 1):
        if buckets[end] < 0:
            continue
        count = _close_unary(start, end, rank, unary_first, unary, table, chain, node, edge, size, buckets, work)
        if count < 0:
            return False
        if end < len(tokens) and not _join(
            start, end, count, binary_first, binary, table, chain, node, edge, size, buckets, work
        ):
            return False
    return True


@njit(cache=True, nogil=True)
def _parse(tokens, root, grammar, chart, size, work):  # type: ignore[no-untyped-def]
    """Fill the chart of one sequence; return the root node, or that there is none, or that it takes too much."""
    table, chain, node, _ = chart
    length, first_node = len(tokens), size[0]
    buckets = np.empty(length + 1, np.int64)
    found = _NOT_DERIVED
    for back in range(length):
        buckets[:] = -1
        if not _parse_from(length - 1 - back, tokens, grammar, chart, size, buckets, work):
            found = _NOT_READ
            break
    if found == _NOT_DERIVED:
        found = table[0, root]
        while found >= 0 and node[found, 2] != length:
            found = chain[found, 0]
    for i in range(first_node, size[0]):
        table[node[i, 1], node[i, 0]] = -1
    return found


@njit(cache=True, nogil=True)
def _mark(root, first_node, first_edge, marked, edge, size):  # type: ignore[no-untyped-def]
    """Mark the nodes that a derivation from the root uses; heads stand after their parts, so one pass back does."""
    marked[first_node : size[0]] = False
    if root >= 0:
        marked[root] = True
    for e in range(size[1] - 1, first_edge - 1, -1):
        if marked[edge[e, 0]]:
            marked[edge[e, 2]] = True
            if edge[e, 3] >= 0:
                marked[edge[e, 3]] = True


@njit(cache=True, nogil=True)
def _keep_marked(root, first_node, first_edge, marked, renamed, node, edge, size):  # type: ignore[no-untyped-def]
    """Drop the other nodes of a sequence and their edges; return the root's new index."""
    kept = first_node
    for n in range(first_node, size[0]):
        if marked[n]:
            node[kept, 0], renamed[n] = node[n, 0], kept
            kept += 1
    size[0] = kept
    kept = first_edge
    for e in range(first_edge, size[1]):
        if marked[edge[e, 0]]:
            edge[kept, 0], edge[kept, 1], edge[kept, 2] = renamed[edge[e, 0]], edge[e, 1], renamed[edge[e, 2]]
            edge[kept, 3] = renamed[edge[e, 3]] if edge[e, 3] >= 0 else -1
            kept += 1
    size[1] = kept
    return renamed[root] if root >= 0 else root


@njit(cache=True, nogil=True)
def _parse_all(tokens, first, root, grammar, budget, table, node, edge, roots, edge_first):  # type: ignore[no-untyped-def]
    """Build the forests of all sequences; return how many nodes and edges there are, -1 where the arrays are full."""
    size = np.zeros(3, np.int64)  # nodes, edges, the edge at which this sequence takes too much
    built = 0
    chart = (table, np.empty((len(node), 2), np.int64), node, edge)
    marked = np.zeros(len(node), np.bool_)
    renamed = np.empty(len(node), np.int64)
    work = np.empty(2 * table.shape[1] + 4, np.int64)
    for s in range(len(first) - 1):
        first_node, first_edge = size[0], size[1]
        count = first[s + 1] - first[s]
        size[2] = first_edge + BUILT_LEAST + BUILT_FOR_SQUARE * count * min(count, MAX_SCALED)
        roots[s] = _NOT_READ
        if first_edge < budget and built < BUILT_FOR_KEPT * budget:
            roots[s] = _parse(tokens[first[s] : first[s + 1]], root, grammar, chart, size, work)
            if roots[s] == _NOT_READ and size[1] <= size[2]:
                return -1, -1
        built += size[1] - first_edge
        if roots[s] == _NOT_READ:
            size[0], size[1] = first_node, first_edge
        _mark(roots[s], first_node, first_edge, marked, edge, size)
        roots[s] = _keep_marked(roots[s], first_node, first_edge, marked, renamed, node, edge, size)
        edge_first[s + 1] = size[1]
    return size[0], size[1]


class Forests:
    """
    The derivations of sequences under the structure of a grammar, for any probabilities of its rules.

    Args:
        rules, lefts, terminals: the grammar's structure, as in ``RuleSet``; tokens are below ``terminals``.
        sequences: int64 arrays of at most 512 tokens.

    A sequence of n tokens that takes more than 2048 + 4 n * min(n, 128) edges to build is not read, nor are those that
    follow once the budget is spent: 128 edges a sequence that stay (in all 16,384 at least, 524,288 at most), and 16
    times that built.

    Raises:
        SpecError: the rules have a unary cycle; LimitError: a sequence has more than 512 tokens.
    """

    def __init__(
        self, rules: Sequence[Rule], lefts: int, terminals: int, sequences: Sequence[NDArray[np.int64]]
    ) -> None:
        grammar = binarise(rules, lefts, terminals)
        self._rules = len(rules)
        lengths = np.array([len(s) for s in sequences], np.int64)
        # Short sequences first: a long one that takes much must not keep them from being read.
        self._order = np.argsort(lengths > MAX_SCALED, kind="stable")
        self._lengths = lengths[self._order]
        if len(sequences) and self._lengths.max() > MAX_TOKENS:
            raise LimitError(f"a sequence of more than {MAX_TOKENS} tokens", where="grammar")
        ordered = [sequences[i] for i in self._order.tolist()]
        tokens = np.concatenate([np.zeros(0, np.int64), *ordered]).astype(np.int64)
        first = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        table = np.full((int(self._lengths.max(initial=0)) + 1, grammar.symbols), -1, np.int64)
        room = (1 << 14) + 8 * len(tokens) + 8 * grammar.symbols  # the kernel's work list takes 2 a symbol
        rules_by_child = (
            grammar.rank, grammar.unary_first, grammar.unary, grammar.binary_first, grammar.binary,
        )  # fmt: skip
        budget = min(max(EDGES_EACH * len(sequences), EDGES_LEAST), EDGES_MOST)
        while True:
            self._node = np.empty((room, 3), np.int64)
            self._edge = np.empty((room, 4), np.int64)
            self._roots = np.zeros(len(sequences), np.int64)
            self._edge_first = np.zeros(len(sequences) + 1, np.int64)
            nodes, edges = _parse_all(
                tokens, first, grammar.start, rules_by_child, budget, table, self._node, self._edge, self._roots,
                self._edge_first,
            )  # fmt: skip
            if edges >= 0:
                break
            room *= 4
        self._edge, self._leaf = self._edge[:edges], self._node[:nodes, 0] < terminals
        self._edge[self._edge[:, 1] == NO_RULE, 1] = self._rules  # one place past the rules: probability 1
        self._inside, self._outside = np.zeros(nodes), np.zeros(nodes)
        # Each token multiplies by this: long products do not vanish, and likely ones stay finite.
        longest = min(max(int(self._lengths.max(initial=0)), 1), MAX_SCALED)
        self._scale = float(1 << min(max(terminals - 1, 1).bit_length(), MOST_BITS // longest))

    @property
    def parsed(self) -> NDArray[np.bool_]:
        """(sequences,) bool: which have a derivation."""
        return self._given(self._roots >= 0)

    @property
    def read(self) -> NDArray[np.bool_]:
        """(sequences,) bool: False where the budget did not allow to find out."""
        return self._given(self._roots != _NOT_READ)

    def _given(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the sequences in the order in which these were given."""
        given = np.empty_like(values)
        given[self._order] = values
        return given

    def expect(
        self, probabilities: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Return log2 P of each sequence (-inf where it has no derivation) and the expected count of each rule.

        Args:
            probabilities: of the rules; weights: of the sequences in the counts (0: likelihood only).
        """
        counts, totals = np.zeros(self._rules + 1), np.zeros(len(self._roots))
        inside_outside(
            self._edge, self._edge_first, self._roots, self._lengths, self._leaf, np.append(probabilities, 1.0),
            weights[self._order].astype(np.float64), self._scale, (self._inside, self._outside), counts, totals,
        )  # fmt: skip
        return self._given(totals), counts[:-1]
