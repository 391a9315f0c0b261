"""
Fit the boundary network on simulated protocols and write its weights.

    python -m qbitel.train.boundaries.fit --examples 17200

17,200 examples give, on 150 held-out protocols of the simulator, mean F1 .79 of the boundaries at a probability of .35.

Deterministic for a seed, one thread and one build of torch. Needs torch. Examples with seeds from ``FIRST`` on are
fitted on; those below it are held out: calibration and the printed figures come from them (``CALIBRATION`` of them for
the one, the others for the figures).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from .examples import Example, examples
from .network import PARTS, BoundaryNetwork

Array = NDArray[np.float32]
FIRST = 1000
CALIBRATION, HELD_OUT = 100, 250
BATCH = 4
KIND_SHARE = 0.1
DECAY = 0.2
MOMENTS = ("exp_avg", "exp_avg_sq")
Tell = Callable[[str], None]


def run(network: BoundaryNetwork, one: Example) -> Tensor:
    """Return the logits of a boundary at an example's positions."""
    made: Tensor = network(one)[0]
    return made


def loss_of(network: BoundaryNetwork, one: Example) -> Tensor:
    """Return the mean cross entropy over the positions that count, and a share of that of what fields mean."""
    counts = torch.from_numpy(one.counts)
    logits, kinds = network(one)
    if not bool(counts.any()):
        return logits.sum() * 0
    loss = binary_cross_entropy_with_logits(logits[counts], torch.from_numpy(one.target)[counts])
    if kinds is not None:
        loss = loss + KIND_SHARE * cross_entropy(kinds, torch.from_numpy(one.kinds), ignore_index=-1)
    return loss


def rate_at(step: int, steps: int, rate: float) -> float:
    """Return the rate of a step: it rises for 100 steps, stays, and falls to zero over the last fifth of the steps."""
    left = (steps - step) / max(1.0, DECAY * steps)
    return rate * min(1.0, (step + 1) / 100, left)


def fit(
    network: BoundaryNetwork, examples_from: Callable[[int], Iterable[Example]], steps: int, *, rate: float = 2e-3,
    checkpoint: Path | None = None, every: int = 500, tell: Tell = print,
) -> None:  # fmt: skip
    """
    Take ``steps`` steps of ``BATCH`` examples each.

    Args:
        examples_from: gives the stream of examples from the one with that number on.
        checkpoint: written ``every`` so many steps and resumed from where it exists; the result is the same as without.
            Until a fifth before the end the rate does not depend on ``steps``: up to there, a checkpoint may be resumed
            with another number of steps.
    """
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
    done = resume(network, optimiser, checkpoint) if checkpoint and checkpoint.exists() else 0
    shown, source, start = 0.0, iter(examples_from(done * BATCH)), time.perf_counter()
    for step in range(done, steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, steps, rate)
        optimiser.zero_grad()
        for _ in range(BATCH):
            loss = loss_of(network, next(source)) / BATCH
            loss.backward()
            shown += loss.item()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 99:
            tell(f"step {step + 1}/{steps} loss {shown / 100:.4f} {time.perf_counter() - start:.0f} s")
            shown = 0.0
        if checkpoint and step % every == every - 1:
            keep(network, optimiser, step + 1, checkpoint)


def keep(network: BoundaryNetwork, optimiser: torch.optim.Optimizer, step: int, path: Path) -> None:
    """Write parameters, the optimiser's moments and the number of steps taken, as arrays."""
    arrays: dict[str, Any] = {"step": np.array(step)}
    for name, value in network.named_parameters():
        arrays[name] = value.detach().numpy()
        state = optimiser.state.get(value, {})
        arrays.update({f"{moment}:{name}": state[moment].numpy() for moment in MOMENTS if moment in state})
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def resume(network: BoundaryNetwork, optimiser: torch.optim.Optimizer, path: Path) -> int:
    """Read what ``keep`` wrote; return the number of steps taken."""
    with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
        done = int(arrays["step"])
        for name, value in network.named_parameters():
            value.copy_(torch.from_numpy(arrays[name]))
            if f"{MOMENTS[0]}:{name}" in arrays:
                moments = {moment: torch.from_numpy(arrays[f"{moment}:{name}"]) for moment in MOMENTS}
                optimiser.state[value] = {"step": torch.tensor(float(done)), **moments}
    return done


def predict(network: BoundaryNetwork, held_out: Iterable[Example]) -> list[tuple[Array, Array]]:
    """Return logits and targets of the positions that count, per example."""
    with torch.no_grad():
        return [(run(network, one).numpy()[one.counts], one.target[one.counts]) for one in held_out]


def calibrate(logits: Array, targets: Array) -> tuple[float, float]:
    """Return scale and shift of the logits that minimise the cross entropy (Platt 1999), by Newton's method."""
    x = np.stack([logits, np.ones_like(logits)], 1).astype(np.float64)
    weights = np.array([1.0, 0.0])
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - targets)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        weights -= np.linalg.solve(hessian, gradient)
    return float(weights[0]), float(weights[1])


def rescale(network: BoundaryNetwork, held_out: Iterable[Example]) -> None:
    """Fold the calibration on these examples into the last layer."""
    pairs = predict(network, held_out)
    scale, shift = calibrate(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))
    with torch.no_grad():
        network.out.weight *= scale
        network.out.bias.mul_(scale).add_(shift)


def evaluate(network: BoundaryNetwork, held_out: Iterable[Example], threshold: float = 0.35) -> dict[str, float]:
    """Return mean cross entropy and F1 over protocols, and the expected calibration error over positions (10 bins)."""
    losses, f1, chances, truths = [], [], [], []
    for logits, targets in predict(network, held_out):
        if not len(targets):
            continue
        chance = 1 / (1 + np.exp(-logits))
        losses.append(float(np.mean(np.logaddexp(0, logits) - targets * logits)))
        found = chance >= threshold
        if targets.any():
            f1.append(2 * float(targets[found].sum()) / float(found.sum() + targets.sum()))
        chances.append(chance)
        truths.append(targets)
    chance, truth = np.concatenate(chances), np.concatenate(truths)
    bins = np.minimum((chance * 10).astype(np.int64), 9)
    gaps = np.abs(np.bincount(bins, truth, 10) - np.bincount(bins, chance, 10)).sum() / len(truth)
    return {"loss": float(np.mean(losses)), "f1": float(np.mean(f1)), "calibration error": float(gaps)}


def exported(network: nn.Module) -> dict[str, Array]:
    """Return the arrays that inference reads: not the head that tells meanings, which is only fitted along."""
    kept = {name: value for name, value in network.state_dict().items() if not name.startswith("kind.")}
    return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in kept.items()}


def save(network: BoundaryNetwork, path: Path) -> None:
    """Write the arrays that inference reads."""
    arrays: dict[str, Any] = exported(network)
    np.savez_compressed(path, **arrays)


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fit, calibrate, write, print."""
    parser = argparse.ArgumentParser(description="Fit the boundary network on simulated protocols.")
    parser.add_argument("--examples", type=int, default=17200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", action="append", choices=PARTS, default=[], help="leave a part out (ablation)")
    parser.add_argument("--checkpoint", type=Path, help="written while fitting, and resumed from")
    parser.add_argument("--out", type=Path, default=Path("discovery/boundaries/weights.npz"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    network, start = BoundaryNetwork(without=arguments.without), time.perf_counter()
    fit(
        network, lambda done: examples(FIRST + done, arguments.examples), arguments.examples // BATCH,
        checkpoint=arguments.checkpoint, tell=tell,
    )  # fmt: skip
    rescale(network, examples(0, CALIBRATION))
    save(network, arguments.out)
    figures = evaluate(network, examples(CALIBRATION, HELD_OUT - CALIBRATION))
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    tell(f"held out: {shown}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
