"""A task small enough to train in milliseconds, a line through noisy points; and a set of labelled protocols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from qbitel.cluster.storage import Storage
from qbitel.train.sets import SetVersion, TrainingSets, labelled_files
from qbitel.train.simulator import simulate
from qbitel.train.task import Evaluation


@dataclass(frozen=True)
class Point:
    """Some points of the line y = 2 x - 1, with noise."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]


class Points:
    """Points by seed and number."""

    kind = Point

    def example(self, seed: int, number: int) -> Point:
        """Return four points."""
        rng = np.random.default_rng((seed, number))
        x = rng.normal(size=4).astype(np.float32)
        return Point(x, (2 * x - 1 + rng.normal(scale=0.1, size=4)).astype(np.float32))

    def held_out(self, part: int, number: int) -> Point:
        """Return four points of another stream."""
        return self.example(0, number)


class Line:
    """Slope and height of the line, with dropout before them so that the state of torch's generator matters."""

    name = "line"
    source = Points()
    gpu = True
    defaults: Mapping[str, Any] = {}

    def network(self) -> Any:
        """Return the layer."""
        import torch

        return torch.nn.Sequential(torch.nn.Dropout(0.05), torch.nn.Linear(1, 1))

    def loss(self, network: Any, example: Point) -> Any:
        """Return the mean square."""
        import torch

        x, y = torch.from_numpy(example.x)[:, None], torch.from_numpy(example.y)[:, None]
        return ((network(x) - y) ** 2).mean()

    def evaluate(self, network: Any, examples: Iterable[Point]) -> Evaluation:
        """Return the mean square per example and over all."""
        import torch

        with torch.no_grad():
            scores = [float(self.loss(network, one)) for one in examples]
        return Evaluation({"loss": float(np.mean(scores))}, {"loss": scores})

    def calibrate(self, network: Any, examples: Iterable[Point]) -> None:
        """Do nothing."""

    def export(self, network: Any) -> dict[str, NDArray[np.float32]]:
        """Return slope and height."""
        return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}

    def restore(self, network: Any, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Set slope and height."""
        import torch

        network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})


@pytest.fixture
def line() -> Line:
    """Return the task."""
    return Line()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Give an empty storage."""
    return Storage(tmp_path / "kept")


@pytest.fixture
def labelled(storage: Storage, tmp_path: Path) -> SetVersion:
    """Return a set of six simulated protocols, each in six captures, with their boundaries."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    many = (made for seed in range(900, 999) if len((made := simulate(seed, 60, "binary")).messages) == 60)
    for number, made in zip(range(6), many, strict=False):
        columns = {
            "payload": pa.array(made.messages, pa.binary()),
            "field_offsets": [[0, *found] for found in made.boundaries],
            "source_pcap": [f"{number}-{row % 6}" for row in range(60)],
        }  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"p{number}.parquet")
    return TrainingSets(storage).add("plant", labelled_files(folder))
