"""
Fit the boundary network on simulated protocols and write its weights.

    python -m qbitel.train.boundaries.fit --examples 12000

12,000 examples give, on 150 held-out protocols of the simulator, precision .843 and recall .744 of the boundaries at
probability one half (pooled over bytes).

Deterministic for a seed, one thread and one build of torch. Needs torch. Examples with seeds from ``FIRST`` on are
fitted on; those below it are held out: calibration, threshold and the printed figures come from them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from .examples import Example, example
from .network import BoundaryNetwork

Array = NDArray[np.float32]
FIRST = 1000
HELD_OUT = 150
BATCH = 4


def run(network: BoundaryNetwork, one: Example) -> Tensor:
    """Return the logits of an example's positions."""
    flat, inputs = one.inputs.flat, one.inputs
    made: Tensor = network(
        torch.from_numpy(flat.values.astype(np.int64)), torch.from_numpy(inputs.context),
        torch.from_numpy(one.columns.by_group), torch.from_numpy(one.columns.overall),
        torch.from_numpy(inputs.cell.astype(np.int64)), torch.from_numpy(flat.column.astype(np.int64)),
        torch.from_numpy(flat.row.astype(np.int64)),
    )  # fmt: skip
    return made


def loss_of(network: BoundaryNetwork, one: Example) -> Tensor:
    """Return the mean cross entropy over the positions that count."""
    counts = torch.from_numpy(one.counts)
    if not bool(counts.any()):
        return network.out.bias.sum() * 0
    return binary_cross_entropy_with_logits(run(network, one)[counts], torch.from_numpy(one.target)[counts])


def fit(network: BoundaryNetwork, examples: int, rate: float = 3e-3, first: int = FIRST) -> None:
    """Take one step per ``BATCH`` examples, the rate rising for 100 steps and falling to zero."""
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
    steps, shown = examples // BATCH, 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (1 - step / steps)
        optimiser.zero_grad()
        for offset in range(BATCH):
            loss = loss_of(network, example(first + step * BATCH + offset)) / BATCH
            loss.backward()
            shown += loss.item()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 99:
            sys.stdout.write(f"step {step + 1}/{steps} loss {shown / 100:.4f}\n")
            sys.stdout.flush()
            shown = 0.0


def held_out(network: BoundaryNetwork) -> tuple[Array, Array]:
    """Return logits and targets of the held-out examples, end to end."""
    logits, targets = [], []
    with torch.no_grad():
        for seed in range(HELD_OUT):
            one = example(seed)
            logits.append(run(network, one).numpy()[one.counts])
            targets.append(one.target[one.counts])
    return np.concatenate(logits), np.concatenate(targets)


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


def main() -> None:
    """Fit, calibrate, write, print."""
    parser = argparse.ArgumentParser(description="Fit the boundary network on simulated protocols.")
    parser.add_argument("--examples", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("discovery/boundaries/weights.npz"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    network, start = BoundaryNetwork(), time.perf_counter()
    fit(network, arguments.examples)
    logits, targets = held_out(network)
    scale, shift = calibrate(logits, targets)
    weights = {name: value.detach().numpy().astype(np.float32) for name, value in network.state_dict().items()}
    weights["out.weight"] = weights["out.weight"] * np.float32(scale)
    weights["out.bias"] = weights["out.bias"] * np.float32(scale) + np.float32(shift)
    np.savez_compressed(arguments.out, **weights)
    found = logits * scale + shift > 0
    hits = float((found & (targets > 0)).sum())
    sys.stdout.write(
        f"scale {scale:.3f} shift {shift:.3f}; held out, pooled: precision {hits / max(1, found.sum()):.3f} "
        f"recall {hits / targets.sum():.3f}; {time.perf_counter() - start:.0f} s\n"
    )


if __name__ == "__main__":
    main()
