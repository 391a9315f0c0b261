"""
Fit the classifier and write its weights.

    python -m qbitel.train.known.build --out known
    python -m qbitel.train.classifier.fit --data known --out discovery/classifier/weights.npz

Needs torch and scikit-learn (the extra ``train``); some minutes on one core. The members are fitted on all but one fold
of the captures, and the weights of their vote on that fold; then the members are fitted again on everything.
``module``, ``loss`` and the vote are those of the task that ``qbitel train classifier`` trains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...discovery.classifier.forest import Forest
from ...discovery.classifier.model import Model
from ...discovery.classifier.networks import Convolution, Recurrence
from ...discovery.classifier.vote import Vote
from .batches import SIZES, Drawing, Unknown, borders, noisy, stranger_sets
from .examples import Examples, folds_of, groups_of, joined, read_examples
from .forest import fit_forest, weights_of
from .networks import EMBEDDED, ConvolutionNetwork, RecurrentNetwork

STEPS, RATE = 1500, 3e-3

module: dict[str, Callable[[int], nn.Module]] = {"convolution": ConvolutionNetwork, "recurrence": RecurrentNetwork}


def batches(known: Examples, unknown: Unknown, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield (values, bins, labels of groups)."""
    rng, drawing = np.random.default_rng(seed), Drawing(known, unknown)
    for step in range(steps):
        rows, labels = drawing.draw(rng, SIZES[step % len(SIZES)])
        values = noisy(drawing.inputs.values[rows].astype(np.int64), rng)
        bins = drawing.inputs.bins[rows].astype(np.int64)
        yield torch.from_numpy(values), torch.from_numpy(bins), torch.from_numpy(labels)


def loss(network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the cross entropy of messages alone plus half that of their groups."""
    values, bins, labels = batch
    embedded = network(values, bins)
    vote: Any = network.vote
    alone = cross_entropy(
        vote.classes(embedded, embedded), labels.repeat_interleave(len(values) // len(labels)), label_smoothing=0.02
    )
    grouped = embedded.view(len(labels), -1, EMBEDDED)
    together = cross_entropy(vote.classes(grouped.mean(1), grouped.amax(1)), labels, label_smoothing=0.02)
    return alone + together / 2


def fit_network(
    kind: str, known: Examples, unknown: Unknown, steps: int = STEPS, seed: int = 0,
    tell: Callable[[str], object] = lambda line: None,
) -> dict[str, NDArray[np.float32]]:  # fmt: skip
    """Fit one network, its rate rising for 100 steps and falling to zero, and return its weights by name."""
    torch.manual_seed(seed)
    network = module[kind](len(known.protocols) + 1)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    for step, batch in enumerate(batches(known, unknown, steps, seed)):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (1 - step / steps)
        optimiser.zero_grad()
        made = loss(network, batch)
        made.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 250 == 249:
            tell(f"{kind} step {step + 1}/{steps} loss {made.item():.3f}")
    return {name: value.detach().numpy().astype(np.float32) for name, value in network.state_dict().items()}


def fit_members(
    known: Examples,
    unknown: Unknown,
    steps: int = STEPS,
    seed: int = 0,
    tell: Callable[[str], object] = lambda line: None,
) -> Model:
    """Fit both networks, and the forest beside them."""
    weights = {kind: fit_network(kind, known, unknown, steps, seed, tell) for kind in module}
    return members_of(known, unknown, weights, {"seed": seed, "steps": steps}, seed)


def members_of(
    known: Examples, unknown: Unknown, weights: dict[str, dict[str, NDArray[np.float32]]], about: dict[str, Any],
    seed: int = 0,
) -> Model:  # fmt: skip
    """Fit the forest and put it beside the networks with these weights; the vote counts them equally."""
    label = np.append(known.label, np.full(len(unknown.protocol), len(known.protocols)))
    capture = np.append(known.capture, len(known.captures) + unknown.protocol)
    inputs = joined(known.inputs, unknown.inputs)
    forest: Forest = fit_forest(inputs.features, label, weights_of(label, capture), len(known.protocols) + 1, seed)
    rows = np.random.default_rng(seed).choice(len(known.inputs), 6, replace=False)
    return Model(
        known.protocols, forest, Convolution.read(weights["convolution"]), Recurrence.read(weights["recurrence"]),
        Vote(np.full(3, 1 / 3), np.zeros(3), np.zeros(2)), known.inputs.take(rows), about,
    )  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """What the members said of groups: logs (3, groups, classes), sizes and true labels of the groups."""

    logs: NDArray[np.float32]
    sizes: NDArray[np.int64]
    label: NDArray[np.int64]


def evaluate(model: Model, known: Examples, rows: NDArray[np.int64], size: int) -> Heard:
    """Return what the members say of the rows in groups of up to ``size`` of one protocol and capture."""
    groups = groups_of(known, rows, size)
    sizes = np.array([len(group) for group in groups], np.int64)
    logs = model.logs(known.inputs.take(np.concatenate(groups)), np.cumsum(sizes) - sizes)
    return Heard(logs, sizes, known.label[[group[0] for group in groups]])


def strangers(model: Model, unknown: Unknown, size: int) -> Heard:
    """Return what the members say of simulated protocols, labelled as unknown."""
    parts = np.split(np.arange(len(unknown.inputs)), borders(unknown.protocol))
    groups = [part[:size] for part in parts]
    sizes = np.array([len(group) for group in groups], np.int64)
    logs = model.logs(unknown.inputs.take(np.concatenate(groups)), np.cumsum(sizes) - sizes)
    return Heard(logs, sizes, np.full(len(groups), len(model.protocols)))


def fit_vote(heard: list[Heard]) -> Vote:
    """Return the vote of least cross entropy; each of ``heard`` counts the same."""
    parameters = torch.tensor([0.5, 0.3, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    logs = torch.from_numpy(np.concatenate([h.logs for h in heard], axis=1).astype(np.float64))
    doublings = torch.log2(torch.from_numpy(np.concatenate([h.sizes for h in heard]).astype(np.float64)).clamp(1, 32))
    label = torch.from_numpy(np.concatenate([h.label for h in heard]))
    each = torch.from_numpy(np.concatenate([np.full(len(h.label), 1 / max(len(h.label), 1)) for h in heard]))
    last = torch.zeros(logs.shape[2], dtype=torch.float64)
    last[-1] = 1
    optimiser = torch.optim.LBFGS([parameters], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        weights = parameters[:3, None] + parameters[3:6, None] * doublings
        total = (weights[:, :, None] * logs).sum(0) + (parameters[6] + parameters[7] * doublings)[:, None] * last
        made = (cross_entropy(total, label, reduction="none") * each).sum()
        made.backward()
        return made

    optimiser.step(closure)
    found = parameters.detach().numpy()
    return Vote(found[:3].copy(), found[3:6].copy(), found[6:].copy())


def with_vote(model: Model, vote: Vote, about: dict[str, Any]) -> Model:
    """Return the model with another vote."""
    return Model(model.protocols, model.forest, model.convolution, model.recurrence, vote, model.background, about)


def hear(model: Model, known: Examples, rows: NDArray[np.int64], unknown: Unknown) -> list[Heard]:
    """Return what the vote is fitted on: groups of 1, 4 and 32 of known and of strange messages."""
    return [one for size in (1, 4, 32) for one in (evaluate(model, known, rows, size), strangers(model, unknown, size))]


def fit(known: Examples, steps: int = STEPS, seed: int = 0, tell: Callable[[str], object] = lambda line: None) -> Model:
    """Fit members and vote; the vote on a fold of captures that the members had not seen."""
    unknown, kept = stranger_sets()
    fold = folds_of(known)
    rows, held = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
    first = fit_members(known.take(rows), unknown, steps, seed, tell)
    vote = fit_vote(hear(first, known, held, kept))
    final = fit_members(known, unknown, steps, seed, tell)
    about = {"seed": seed, "steps": steps, "messages": len(known.inputs), "captures": len(set(known.capture.tolist()))}
    return with_vote(final, vote, about)


def main() -> None:
    """Fit, write, print."""
    parser = argparse.ArgumentParser(description="Fit the protocol classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled Parquet files")
    parser.add_argument("--out", type=Path, default=Path("discovery/classifier/weights.npz"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = read_examples(arguments.data)
    model = fit(known, arguments.steps, arguments.seed, lambda line: sys.stdout.write(line + "\n"))
    model.write(arguments.out)
    sys.stdout.write(f"{len(known.protocols)} protocols, {arguments.out.stat().st_size} bytes, vote {model.vote}\n")


if __name__ == "__main__":
    main()
