"""Training examples, and the two forms of the boundary network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from qbitel.cluster.storage import Storage
from qbitel.discovery.boundaries.network import Network, Pools, shipped
from qbitel.train.boundaries.examples import KINDS, SAME_KIND, Example, example
from qbitel.train.settings import TrainSettings
from qbitel.train.simulator import simulate

if TYPE_CHECKING:
    from torch import Tensor


def test_targets_are_the_boundaries_of_the_simulated_messages() -> None:
    """Positions marked in an example are those of the truth, for each of its messages."""
    made, protocol = example(3), simulate(3)
    truth = dict(zip(protocol.messages, protocol.boundaries, strict=True))
    flat = made.inputs.flat
    for row, at in enumerate(flat.at.tolist()):
        here = flat.row == row
        payload = flat.values[here].astype(np.uint8).tobytes()
        found = np.flatnonzero(made.target[here]).tolist()
        assert flat.column[at] == 0
        if payload in truth:  # longer ones are cut at 512 bytes
            assert found == truth[payload]


def test_meanings_cover_the_labelled_fields() -> None:
    """Every position of a labelled field has its kind, positions outside messages none, the others the first."""
    made, protocol = example(3), simulate(3)
    truth = dict(zip(protocol.messages, protocol.semantics, strict=True))
    flat = made.inputs.flat
    assert (made.kinds[flat.row < 0] == -1).all()
    checked = 0
    for row, at in enumerate(flat.at.tolist()):
        payload = flat.values[flat.row == row].astype(np.uint8).tobytes()
        for start, length, label in truth.get(payload, []):
            expected = KINDS.index(SAME_KIND.get(label, label))
            assert (made.kinds[at + start : at + start + length] == expected).all()
            checked += 1
    assert checked > 10


def numpy_logits(network: Network, one: Example) -> NDArray[np.float32]:
    """Return the logits of an example as inference computes them."""
    groups, first = len(one.columns.by_group), Pools(one.columns, network.hidden)
    x = network.first(one.inputs, network.statistics(one.columns))
    first.add(x, one.inputs)
    third = network.middle(x, one.inputs, network.said("first", first, groups))
    pools = Pools(one.columns, network.narrow)
    pools.add(third, one.inputs)
    return network.logits(third, one.inputs, network.said("third", pools, groups))


def test_torch_and_numpy_compute_the_same_network() -> None:
    """Logits of the trained form and of the shipped form differ by rounding only."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.network import BoundaryNetwork

    network = shipped()
    trained = BoundaryNetwork()
    told = trained.load_state_dict({n: torch.from_numpy(v) for n, v in network.weights.items()}, strict=False)
    assert not told.unexpected_keys and all(name.startswith("kind.") for name in told.missing_keys)
    for seed in (1, 4, 9):
        one = example(seed)
        expected = trained(one)[0].detach().numpy()
        assert np.abs(numpy_logits(network, one) - expected)[one.counts].max() < 1e-3


def test_a_part_left_out_is_silent_in_both_forms(tmp_path: Path) -> None:
    """A network without its parts computes the same in NumPy after a step of training."""
    pytest.importorskip("torch")
    from qbitel.train.boundaries.network import PARTS
    from qbitel.train.boundaries.task import SegmenterTask
    from qbitel.train.loop import new_record, train
    from qbitel.train.runs import Run

    settings = TrainSettings(task="segmenter", examples=4, epochs=1, held_out=3)
    for part in PARTS:
        task, run = SegmenterTask(without=(part,)), Run(Storage(tmp_path), f"without-{part}")
        train(task, new_record(run.name, settings), run)
        one, trained = example(9), task.network()
        task.restore(trained, load(run.weights()))
        expected = trained(one)[0].detach().numpy()
        found = numpy_logits(Network.read(run.weights()), one)
        assert np.abs(found - expected)[one.counts].max() < 1e-3, part


def test_gradients_of_the_recurrence_are_those_of_its_definition() -> None:
    """States and gradients equal those of a loop over positions that torch differentiates."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.scan import Scan

    row = np.array([-1, 0, 0, 0, -1, 1, 1, -1, 2, -1], np.int32)
    rng = np.random.default_rng(2)
    keep, new, weight = (torch.from_numpy(rng.random((len(row), 4)).astype(np.float32)) for _ in range(3))
    results = []
    for run in (Scan.apply, _looped):
        leaves = keep.clone().requires_grad_(), new.clone().requires_grad_()
        state = run(*leaves, torch.from_numpy(row))
        (state * weight).sum().backward()
        results.append((state.detach(), leaves[0].grad, leaves[1].grad))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def _looped(keep: Tensor, new: Tensor, row: Tensor) -> Tensor:
    """Return the states of the recurrence, position after position: two channels forward, two backward."""
    import torch

    halves = []
    for channels, step in ((slice(0, 2), -1), (slice(2, 4), 1)):
        states = [torch.zeros(2)] * len(row)
        for p in range(len(row)) if step < 0 else reversed(range(len(row))):
            if row[p] >= 0:
                inside = 0 <= p + step < len(row) and row[p + step] == row[p]
                before = states[p + step] if inside else torch.zeros(2)
                states[p] = keep[p, channels] * before + (1 - keep[p, channels]) * new[p, channels]
        halves.append(torch.stack(states))
    return torch.cat(halves, 1)
