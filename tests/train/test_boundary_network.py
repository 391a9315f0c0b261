"""Training examples, and the two forms of the boundary network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

import qbitel.discovery.boundaries
from qbitel.discovery.boundaries.network import Marked, Network, Pools, shipped
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


def test_byte_order_is_told_of_numbers_of_several_bytes() -> None:
    """Every position of such a number has its protocol's byte order, the others none; rows have their true types."""
    orders = set()
    for seed in (3, 8):
        made, protocol = example(seed), simulate(seed)
        truth = dict(zip(protocol.messages, zip(protocol.numbers, protocol.types, strict=True), strict=True))
        for row in range(len(made.inputs.flat.at)):
            here = made.inputs.flat.row == row
            payload = made.inputs.flat.values[here].astype(np.uint8).tobytes()
            if payload not in truth:  # longer ones are cut at 512 bytes
                continue
            numbers, kind = truth[payload]
            inside = {at for start, length in numbers for at in range(start, start + length)}
            assert set(np.flatnonzero(made.orders[here] >= 0).tolist()) == inside
            assert set(made.orders[here][sorted(inside)].tolist()) <= {int(protocol.order == "big")}
            assert made.types[row] == kind
            orders |= set(made.orders[here].tolist())
    assert orders == {-1, 0, 1}


def test_rows_of_a_type_are_drawn_together() -> None:
    """The loss of the rows' types is small where those of a type point one way, large where they are mixed."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.objective import apart

    near = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    together, mixed = (apart(near, torch.tensor(types)).item() for types in ([4, 4, 7, 7], [4, 7, 4, 7]))
    assert together < 0.1 < mixed
    assert apart(near, torch.tensor([-1, -1, -1, -1])).item() == apart(near, torch.tensor([2, 2, 2, 2])).item() == 0


def test_attention_compares_what_looks_alike_wherever_it_stands() -> None:
    """Positions with the same mark are told the mean of their layer, and nothing of positions with another."""
    one = example(3)
    positions, groups = len(one.inputs.cell), len(one.columns.by_group)
    x = np.zeros((positions, 2), np.float32)
    x[::2, 0] = x[1::2, 1] = 1
    network = Network({name: np.eye(2, dtype=np.float32) for name in ("marked_group.weight", "marked_all.weight")})
    marked = Marked(np.eye(2, dtype=np.float32) * 50, one.columns)
    marked.add(x, one.inputs)
    made = np.zeros_like(x)
    network.attended(marked).add_to(made, x, one.inputs)
    inside = one.inputs.flat.row >= 0
    assert groups and (made[~inside] == 0).all()
    assert np.allclose(made[inside] * (1 - x[inside]), 0, atol=1e-6)
    assert (made[inside] * x[inside]).max() > 1.5  # near 1 by its type, near 1 by all


def numpy_logits(network: Network, one: Example) -> NDArray[np.float32]:
    """Return the logits of an example as inference computes them."""
    groups, first = len(one.columns.by_group), Pools(one.columns, network.hidden)
    x = network.first(one.inputs, network.statistics(one.columns))
    first.add(x, one.inputs)
    third = network.middle(x, one.inputs, network.said("first", first, groups))
    pools = Pools(one.columns, network.narrow)
    pools.add(third, one.inputs)
    marked = network.marked(one.columns)
    if marked:
        marked.add(third, one.inputs)
    attended = marked and network.attended(marked)
    return network.logits(third, one.inputs, network.said("third", pools, groups), attended)


def test_shipped_weights_are_those_of_the_documented_command() -> None:
    """They say the settings that they were fitted by: those of ``qbitel train segmenter`` without an option."""
    pytest.importorskip("torch")
    from qbitel.train.boundaries.task import SegmenterTask

    path = Path(qbitel.discovery.boundaries.__file__).with_name("weights.safetensors")
    with safe_open(path, "np") as file:
        told = file.metadata()
    settings = TrainSettings.model_validate({**SegmenterTask.defaults, "task": "segmenter"})
    assert (told["task"], told["settings"]) == ("segmenter", settings.hash)


def test_torch_and_numpy_compute_the_same_network() -> None:
    """Logits of the trained form and of the shipped form differ by rounding only."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.network import LEFT_OUT, BoundaryNetwork
    from qbitel.train.boundaries.objective import HEADS

    network = shipped()
    trained = BoundaryNetwork(without=LEFT_OUT)
    told = trained.load_state_dict({n: torch.from_numpy(v) for n, v in network.weights.items()}, strict=False)
    assert not told.unexpected_keys and all(name.startswith((*HEADS, "mark")) for name in told.missing_keys)
    for seed in (1, 4, 9):
        one = example(seed)
        expected = trained(one).boundaries.detach().numpy()
        assert np.abs(numpy_logits(network, one) - expected)[one.counts].max() < 1e-3


def test_a_part_left_out_is_silent_in_both_forms() -> None:
    """A network without its parts computes the same in NumPy after steps of training, and attention it has speaks."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.network import HEAD_PARTS, PARTS, BoundaryNetwork
    from qbitel.train.boundaries.objective import exported, loss_of

    one = example(9)
    for part in ["", *sorted(set(PARTS) - HEAD_PARTS)]:  # with all parts, and without each that is shipped
        trained = BoundaryNetwork(without={part} - {""})
        optimiser = torch.optim.AdamW(trained.parameters(), 1e-2)
        for _ in range(2):
            optimiser.zero_grad()
            loss_of(trained, one).backward()
            optimiser.step()
        network = Network(exported(trained))
        found, expected = numpy_logits(network, one), trained(one).boundaries.detach().numpy()
        assert np.abs(found - expected)[one.counts].max() < 1e-3, part
        assert (network.marked(one.columns) is None) == (part == "attention")


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
