"""Training examples, and the two forms of the boundary network."""

from __future__ import annotations

import numpy as np
import pytest

from qbitel.discovery.boundaries.network import Mean, shipped
from qbitel.train.boundaries.examples import example
from qbitel.train.simulator import simulate


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


def test_torch_and_numpy_compute_the_same_network() -> None:
    """Logits of the trained form and of the shipped form differ by rounding only."""
    torch = pytest.importorskip("torch")
    from qbitel.train.boundaries.fit import run
    from qbitel.train.boundaries.network import BoundaryNetwork

    network = shipped()
    trained = BoundaryNetwork()
    trained.load_state_dict({name: torch.from_numpy(value) for name, value in network.weights.items()})
    for seed in (1, 4, 9):
        one = example(seed)
        cells = network.cells(one.columns)
        x = network.first(one.inputs, cells, network.byte_tables())
        by_cell = Mean(len(cells), network.hidden)
        by_cell.add(x, one.inputs.cell)
        by_column = network.linear("overall_pool", by_cell.folded(one.columns.width).value())
        pooled = network.linear("group_pool", by_cell.value()) + np.tile(by_column, (len(one.columns.by_group), 1))
        logits = network.logits(x, one.inputs, pooled, network.room(len(x)))
        expected = run(trained, one).detach().numpy()
        assert np.abs(logits - expected)[one.counts].max() < 1e-3
