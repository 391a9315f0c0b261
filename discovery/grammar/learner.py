"""GrammarLearner: from token sequences to a probabilistic context-free grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..settings import DiscoverySettings
from ..spec import Grammar
from ..spec.base import QUANTUM
from .em import train
from .escape import Escape, flat_logs
from .forest import MAX_TOKENS, Forests
from .induce import Induction
from .rules import Rule, RuleSet, by_left, quantised

START = "S"
CUT, EMPTY = "(cut)", "(empty)"  # tokens of sequences that are too long, and of none
MAX_DISTINCT = 4096  # sequences read
MAX_INDUCED, MAX_RESIDUE = 512, 64  # sequences that structure is found from: without, and beside, a given structure
INDUCTION_BUDGET, RESIDUE_BUDGET = 4_000_000, 60_000  # symbols touched


@dataclass(frozen=True)
class Corpus:
    """
    Distinct token sequences with their weights, in a canonical order (by a hash).

    Attributes:
        sequences: int64 arrays of 1 to 512 tokens.
        proposing, held_out: float64 weights; cut: messages whose sequences were cut short.
        left_out: weight of the sequences beyond the 4,096 commonest distinct ones.
    """

    sequences: list[NDArray[np.int64]]
    proposing: NDArray[np.float64]
    held_out: NDArray[np.float64]
    cut: int
    left_out: int


def collapse(
    sequences: Sequence[NDArray[np.int64]],
    counts: NDArray[np.int64],
    held_out: NDArray[np.bool_],
    cut_token: int,
    empty_token: int,
    keep_cut: bool = True,
) -> Corpus:
    """Return the distinct sequences: long ones end in ``cut_token`` at 512 tokens, empty ones are ``empty_token``."""
    weights: dict[bytes, list[int]] = {}
    cut = 0
    for sequence, count, held in zip(sequences, counts.tolist(), held_out.tolist(), strict=True):
        tokens = sequence if len(sequence) else np.array([empty_token], np.int64)
        if len(tokens) > MAX_TOKENS:
            tokens = np.append(tokens[: MAX_TOKENS - 1], cut_token)
            cut += count
            if not keep_cut:
                continue
        weights.setdefault(tokens.astype("<i8").tobytes(), [0, 0])[int(held)] += count
    common = sorted(weights, key=lambda tokens: (-sum(weights[tokens]), tokens))[:MAX_DISTINCT]
    left_out = sum(map(sum, weights.values())) - sum(sum(weights[tokens]) for tokens in common)
    common.sort(key=lambda tokens: (crc32(tokens), tokens))  # where a budget ends, no kind of message is favoured
    table = np.array([weights[tokens] for tokens in common], np.float64).reshape(-1, 2)
    arrays = [np.frombuffer(tokens, "<i8").astype(np.int64) for tokens in common]
    return Corpus(arrays, table[:, 0].copy(), table[:, 1].copy(), cut, left_out)


class GrammarLearner:
    """Learns a grammar: structure given or found, probabilities by inside–outside EM judged on held-out sequences."""

    def __init__(self, settings: DiscoverySettings | None = None) -> None:
        self.settings = settings or DiscoverySettings()

    def learn(
        self,
        sequences: Sequence[NDArray[np.int64]],
        vocabulary: Sequence[str],
        *,
        counts: NDArray[np.int64] | None = None,
        held_out: NDArray[np.bool_] | None = None,
        initial: RuleSet | None = None,
        fields: NDArray[np.int64] | None = None,
    ) -> Grammar:
        """
        Return the grammar of token sequences.

        Args:
            sequences: token ids below ``len(vocabulary)``; of more than 512 the first 511 are read.
            vocabulary: names of the tokens.
            counts: how often each sequence occurs (1 each); held_out: which are kept from proposing (none).
            initial: structure to begin with; proposing sequences that it does not derive get rules of their own,
                found by merging. Without it the whole structure is found by merging.
            fields: token → field, for the flat grammar that this one is compared with (each token its own).

        Raises:
            SpecError: the initial rules have an empty right side or a unary cycle.
        """
        names = [*vocabulary, CUT, EMPTY]
        counts = np.ones(len(sequences), np.int64) if counts is None else counts
        held_out = np.zeros(len(sequences), np.bool_) if held_out is None else held_out
        # given rules derive whole messages: one that was cut would only add rules that mean nothing
        keep_cut = initial is None or not initial.rules
        corpus = collapse(sequences, counts, held_out, len(names) - 2, len(names) - 1, keep_cut)
        if not corpus.sequences and keep_cut:
            return Grammar(start=START)
        fields = np.arange(len(vocabulary)) if fields is None else fields
        fields = np.concatenate([fields, len(names) + np.arange(2)])
        start, forests, covered = self._structure(corpus, len(names), initial)
        unread = int((corpus.proposing + corpus.held_out)[~forests.read].sum())
        proposing, held = corpus.proposing * forests.read, corpus.held_out * forests.read
        escape = Escape(corpus.sequences, proposing, len(names))
        trained = train(start, forests, escape, proposing, held, self.settings.em_iterations)
        judge = held if held.any() else proposing
        units = quantised(start.rules, trained.probabilities, len(start.names))
        learned = RuleSet(start.names, start.rules, units / QUANTUM, start.constraints)
        logs, _ = forests.expect(learned.probabilities, np.zeros(len(corpus.sequences)))
        flat = flat_logs(corpus.sequences, proposing, _dense(fields))
        return Grammar(
            start=start.names[0],
            rules=learned.to_rules(names),
            bits_per_message=trained.likelihoods[-1],
            usual_bits=float(-logs[forests.parsed].min(initial=0.0)),
            flat_bits_per_message=escape.bits_per_message(flat, judge),
            held_out_coverage=float(judge[covered].sum() / max(judge.sum(), 1.0)),
            likelihoods=trained.likelihoods,
            messages_cut=corpus.cut,
            messages_unread=unread + corpus.left_out,
        )

    def _structure(
        self, corpus: Corpus, terminals: int, initial: RuleSet | None
    ) -> tuple[RuleSet, Forests, NDArray[np.bool_]]:
        """Return rules for every proposing sequence, the forests, and what is derived without the last resort."""
        proposing = corpus.proposing > 0
        grammar = initial if initial is not None and initial.rules else self._induced(corpus, terminals)
        forests = Forests(grammar.rules, len(grammar.names), terminals, corpus.sequences)
        residue = np.flatnonzero(proposing & forests.read & ~forests.parsed)
        if len(residue):
            grammar = _with_residue(grammar, corpus, residue, terminals, float(corpus.proposing[forests.parsed].sum()))
            forests = Forests(grammar.rules, len(grammar.names), terminals, corpus.sequences)
        covered = forests.parsed
        residue = np.flatnonzero(proposing & forests.read & ~covered)
        if len(residue):
            grammar = _with_anything(grammar, corpus, residue)
            forests = Forests(grammar.rules, len(grammar.names), terminals, corpus.sequences)
        return grammar, forests, covered

    def _induced(self, corpus: Corpus, terminals: int) -> RuleSet:
        rows = _commonest(corpus, np.flatnonzero(corpus.proposing > 0), MAX_INDUCED)
        found = _merge(corpus, rows, terminals, INDUCTION_BUDGET) or {(0, (terminals - 1,)): 1.0}
        names = [START, *(f"{START}_{i}" for i in range(1, 1 + max(left for left, _ in found)))]
        return RuleSet.uniform(names, found, self.settings.seed)


def _merge(corpus: Corpus, rows: NDArray[np.int64], terminals: int, budget: int) -> dict[Rule, float]:
    sequences = [tuple(corpus.sequences[row].tolist()) for row in rows]
    return Induction(sequences, corpus.proposing[rows].tolist(), terminals, budget).run()


def _commonest(corpus: Corpus, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.sort(rows[np.argsort(-corpus.proposing[rows], kind="stable")[:most]])


def _with_residue(
    grammar: RuleSet, corpus: Corpus, residue: NDArray[np.int64], terminals: int, derived: float
) -> RuleSet:
    """Add what merging finds of sequences not derived; ``derived``: weight of those that are."""
    found = _merge(corpus, _commonest(corpus, residue, MAX_RESIDUE), terminals, RESIDUE_BUDGET)
    base = len(grammar.names)
    names = [*grammar.names, *(f"(other {i})" for i in range(1 + max(left for left, _ in found)))]
    counts = {rule: p * max(derived, 1.0) for rule, p in zip(grammar.rules, grammar.probabilities, strict=True)}
    counts[0, (~base,)] = float(corpus.proposing[residue].sum())
    for (left, right), count in found.items():
        counts[left + base, tuple(s if s >= 0 else ~(~s + base) for s in right)] = count
    return _weighted(names, counts, grammar.constraints)


def _with_anything(grammar: RuleSet, corpus: Corpus, residue: NDArray[np.int64]) -> RuleSet:
    """Add the last resort: a non-terminal that derives any run of the tokens of these sequences."""
    left = len(grammar.names)
    counts = dict(zip(grammar.rules, grammar.probabilities.tolist(), strict=True))
    counts[0, (~left,)] = 0.0
    for token in np.unique(np.concatenate([corpus.sequences[row] for row in residue])).tolist():
        counts[left, (token,)] = counts[left, (token, ~left)] = 0.0
    return _weighted([*grammar.names, "(anything)"], counts, grammar.constraints)


def _weighted(names: Sequence[str], counts: dict[Rule, float], constraints: dict[Rule, list[str]]) -> RuleSet:
    rules = list(counts)
    weights = np.array([counts[rule] for rule in rules]) + 0.5
    return RuleSet(list(names), rules, by_left(rules, len(names), weights), constraints)


def _dense(fields: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(fields, return_inverse=True)[1].astype(np.int64)
