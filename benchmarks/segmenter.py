"""
The learned segmenter: what each part of the network buys, how well it is calibrated, how long it takes.

    python -m benchmarks.segmenter [--examples 1000] [--corpus DIR] [--last-look]

Fits the network without each part in turn, and with the heads that are left out, all on the same examples in the same
order: some eight minutes of one core. Scores them on simulated protocols that were not fitted on, and alone (no
layouts, no findings) on those two thirds of the protocols of DIR that choices are made on, and says how well the other
heads do. Then the shipped weights: on simulated protocols and on both shares of DIR (``--last-look`` adds the third
that no choice was made on), their calibration, and the time of a prediction.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize
from torch.optim import AdamW

from qbitel.discovery.boundaries.network import Network, shipped
from qbitel.discovery.boundaries.segmenter import StatisticalSegmenter
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.types import find_types
from qbitel.train.boundaries import objective
from qbitel.train.boundaries.examples import Example, examples, sample_of
from qbitel.train.boundaries.network import LEFT_OUT, PARTS, BoundaryNetwork
from qbitel.train.boundaries.source import FIRST
from qbitel.train.evaluation.accuracy import score_protocol, segmenter
from qbitel.train.evaluation.corpus import Labelled, families, load_corpus
from qbitel.train.evaluation.machine import page_head, timed
from qbitel.train.evaluation.metrics import mean
from qbitel.train.settings import TrainSettings
from qbitel.train.simulator import simulate

LIMIT = 100
CALIBRATION, HELD_OUT = 100, 250
Array = NDArray[np.float64] | NDArray[np.int64]
SHAPES = ((48, 128), (200, 128))
ALL = "with both"
MEANING = {
    "statistics": "statistics of columns", "tails": "columns counted from the end", "pairs": "pairs of bytes",
    "likeness": "means of like positions, first layer", "recurrence": "recurrence along the message",
    "agreement": "means of like positions, third layer",
    "attention": "attention to positions that look alike",
    "manner": "means by column modulo 4 (widths, alignment)", "semantics": "meanings told along (multi-task)",
    "orders": "byte orders told along", "types": "rows of a type drawn together",
}  # fmt: skip


def variants() -> dict[str, BoundaryNetwork]:
    """Return untrained networks by what they are, all from one seed."""
    left_out: dict[str, tuple[str, ...]] = {"as trained": LEFT_OUT}
    left_out |= {f"without {MEANING[part]}": (part, *LEFT_OUT) for part in PARTS if part not in LEFT_OUT}
    left_out |= {f"with {MEANING[part]}": tuple(set(LEFT_OUT) - {part}) for part in LEFT_OUT}
    left_out["statistics alone"] = tuple(part for part in PARTS if part != "statistics")
    left_out[ALL] = ()
    made = {}
    for name, without in left_out.items():
        torch.manual_seed(1)
        made[name] = BoundaryNetwork(without=without)
    return made


def fit_together(networks: dict[str, BoundaryNetwork], count: int, rate: float = 2e-3) -> None:
    """Fit all networks on the same examples, each made once."""
    settings = TrainSettings(task="segmenter", examples=count, epochs=1, rate=rate)
    optimisers = {
        name: AdamW(network.parameters(), rate, weight_decay=settings.weight_decay)
        for name, network in networks.items()
    }
    source = iter(examples(FIRST, count))
    for step in range(settings.steps):
        batch = [next(source) for _ in range(settings.batch)]
        for name, network in networks.items():
            optimiser = optimisers[name]
            optimiser.param_groups[0]["lr"] = settings.rate_at(step)
            optimiser.zero_grad()
            for one in batch:
                (objective.loss_of(network, one) / settings.batch).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimiser.step()


def is_chosen_on(name: str) -> bool:
    """Return whether choices may be made on this protocol: two thirds of all, by a hash of the name."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 != 0


def on_corpus(protocols: list[Labelled], kinds: dict[str, str], network: Network) -> str:
    """Return the table cells of a network by itself: F1, FMS, perfect fields, and F1 of binary protocols."""
    predictor = partial(segmenter, chosen=StatisticalSegmenter(network))
    scores = [score_protocol(one, kinds.get(one.name, ""), predictor) for one in protocols]
    everything = mean([s.boundaries for s in scores if s.boundaries])
    binary = mean([s.boundaries for s in scores if s.boundaries and s.family != "text"])
    return f"{everything.f1:.3f} | {everything.fms:.3f} | {everything.perfect:.3f} | {binary.f1:.3f}"


def network_of(trained: BoundaryNetwork) -> Network:
    """Return the shipped form of a trained network."""
    return Network(objective.exported(trained))


def trained_of(network: Network) -> BoundaryNetwork:
    """Return the trained form of a shipped network; the head for meanings, which is not shipped, tells nothing."""
    made = BoundaryNetwork(without=LEFT_OUT)
    made.load_state_dict({name: torch.from_numpy(value) for name, value in network.weights.items()}, strict=False)
    return made


def ablation(count: int, held_out: list[Example], protocols: list[Labelled], kinds: dict[str, str]) -> list[str]:
    """Return the table of what each part buys."""
    networks, calibrating = variants(), list(examples(0, CALIBRATION))
    fit_together(networks, count)
    lines = [f"\n## What each part buys\n\nEach fitted on the same {count:,} simulated protocols.\n"]
    lines.append("| network | simulated: loss | F1 | labelled: F1 | FMS | perfect | F1, binary |")
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, network in networks.items():
        objective.rescale(network, calibrating)
        figures = objective.evaluate(network, held_out).figures
        real = on_corpus(protocols, kinds, network_of(network)) if protocols else "– | – | – | –"
        lines.append(f"| {name} | {figures['loss']:.4f} | {figures['f1']:.3f} | {real} |")
    return [*lines, *heads(networks[ALL], held_out)]


def heads(network: BoundaryNetwork, held_out: list[Example]) -> list[str]:
    """Return the table of what the other heads tell on simulated protocols: how often right, and by chance."""
    kinds, orders, types = [], [], []
    with torch.no_grad():
        for one in held_out:
            told = network(one)
            assert told.kinds is not None and told.orders is not None and told.types is not None
            kinds.append(np.stack([told.kinds.argmax(1).numpy(), one.kinds])[:, one.kinds > 0])
            orders.append(np.stack([told.orders.numpy() > 0, one.orders])[:, one.orders >= 0])
            types.append(_nearest(told.types, one.types))
    lines = [f"\n## The other heads, {len(held_out)} simulated protocols\n"]
    lines += ["| told | of | right | without looking |", "|---|--:|--:|--:|"]
    for name, parts in (("meaning of a labelled byte", kinds), ("byte order of a number's byte", orders)):
        said, true = np.concatenate(parts, 1)
        usual = np.bincount(true).max() / len(true)
        lines.append(f"| {name} | {len(true):,} | {np.mean(said == true):.3f} | {usual:.3f} |")
    right, chance = np.concatenate(types, 1)
    shown = f"{len(right):,} | {right.mean():.3f} | {chance.mean():.3f}"
    return [*lines, f"| the nearest message is of the same type | {shown} |"]


def _nearest(embedded: torch.Tensor, types: Array) -> Array:
    """Return per row that has others of its type: whether the nearest is one, and how likely one by chance is."""
    near = normalize(embedded, dim=1)
    nearest = (near @ near.T).fill_diagonal_(-2).argmax(1).numpy()
    others = (types[:, None] == types).sum(1) - 1
    kept = (others > 0) & (others < len(types) - 1)
    return np.stack([types[nearest] == types, others / max(1, len(types) - 1)])[:, kept]


def calibration(network: BoundaryNetwork, held_out: list[Example]) -> list[str]:
    """Return the reliability table: how often there is a boundary where the network says so with some probability."""
    pairs = objective.predict(network, held_out)
    chance = 1 / (1 + np.exp(-np.concatenate([logits for logits, _ in pairs])))
    truth = np.concatenate([target for _, target in pairs])
    bins = np.minimum((chance * 10).astype(np.int64), 9)
    lines = ["\n## Calibration, simulated protocols\n", "| said | positions | mean said | true |", "|---|--:|--:|--:|"]
    for index in range(10):
        here = bins == index
        if here.any():
            said = f"{index / 10:.1f} to {(index + 1) / 10:.1f}"
            lines.append(f"| {said} | {here.sum():,} | {chance[here].mean():.3f} | {truth[here].mean():.3f} |")
    return lines


def times() -> list[str]:
    """Return how long a prediction takes, over simulated binary protocols of several types."""
    lines = ["\n## Time of a prediction, one core\n"]
    lines += ["| messages | bytes each | median, fastest and slowest protocol |", "|--:|--:|---|"]
    for count, size in SHAPES:
        medians = []
        for seed in range(12):
            protocol = simulate(seed, count, "binary")
            protocol.messages[:] = [(message * size)[:size] for message in protocol.messages]
            sample = sample_of(protocol)
            types = find_types(sample, DiscoverySettings()).assign(sample.view)
            predict = partial(StatisticalSegmenter().boundary_probabilities, sample, types, [])
            medians.append(timed(predict, 5).median)
        shown = f"{np.median(medians) * 1000:.1f} ms ({min(medians) * 1000:.1f} to {max(medians) * 1000:.1f})"
        lines.append(f"| {count} | {size} | {shown} |")
    return lines


def report(count: int, folder: Path | None, last_look: bool) -> str:
    """Return the page."""
    torch.set_num_threads(1)
    held_out = list(examples(CALIBRATION, HELD_OUT - CALIBRATION))
    kinds = families(folder) if folder else {}
    protocols = list(load_corpus(folder, limit=LIMIT)) if folder else []
    chosen = [one for one in protocols if is_chosen_on(one.name)]
    lines = [page_head("The segmenter")]
    if count:
        lines += ablation(count, held_out, chosen, kinds)
    figures = objective.evaluate(trained_of(shipped()), held_out).figures
    lines.append("\n## Shipped weights, network alone\n")
    lines += ["| protocols | | F1 | FMS | perfect | F1, binary |", "|---|--:|--:|--:|--:|--:|"]
    lines.append(f"| simulated, not fitted on | {len(held_out)} | {figures['f1']:.3f} | – | – | – |")
    if chosen:
        lines.append(f"| labelled, choices made on | {len(chosen)} | {on_corpus(chosen, kinds, shipped())} |")
    if last_look:
        kept = [one for one in protocols if not is_chosen_on(one.name)]
        lines.append(f"| labelled, kept for the last look | {len(kept)} | {on_corpus(kept, kinds, shipped())} |")
    lines.append(f"\nSimulated: loss {figures['loss']:.4f}, calibration error {figures['calibration_error']:.4f}.")
    return "\n".join([*lines, *calibration(trained_of(shipped()), held_out), *times()]) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Parts, calibration and time of the learned segmenter.")
    parser.add_argument("--examples", type=int, default=1000, help="fitted on in the ablation; 0 leaves it out")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--last-look", action="store_true")
    arguments = parser.parse_args()
    sys.stdout.write(report(arguments.examples, arguments.corpus, arguments.last_look))


if __name__ == "__main__":
    main()
