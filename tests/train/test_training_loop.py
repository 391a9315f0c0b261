"""The loop learns, goes on where it was stopped, and stops where nothing gets better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import InputError
from qbitel.train.settings import TrainSettings, WorkerSettings
from qbitel.train.stream import Made, Shard, inline
from qbitel.train.task import Evaluation

torch = pytest.importorskip("torch")

from qbitel.train.loop import new_record, train  # noqa: E402
from qbitel.train.record import RunRecord  # noqa: E402
from qbitel.train.runs import Run, all_runs  # noqa: E402
from qbitel.train.start import start  # noqa: E402

SETTINGS = TrainSettings(task="line", examples=480, epochs=4, batch=4, rate=0.1, warm_up=5, held_out=20)


class Killed(BaseException):
    """Stands for the end of the process."""


def dying_after(count: int) -> Any:
    """Return a stream that ends the process when ``count`` examples were taken."""

    def stream(source: Any, seed: int, shard: Shard) -> Iterator[Made]:
        for index, made in enumerate(inline(source, seed, shard)):
            if index == count:
                raise Killed
            yield made

    return stream


def run_of(folder: Path, name: str, settings: TrainSettings = SETTINGS) -> tuple[RunRecord, Run]:
    """Return a new run and its record."""
    return new_record(name, settings), Run(Storage(folder), name)


def test_training_finds_the_line(line: Any, tmp_path: Path) -> None:
    """Slope and height are found, and the weights written are those of the record."""
    record, run = run_of(tmp_path, "a")
    done = train(line, record, run)
    found = load(run.weights())
    assert done.status == "done"
    assert found["1.weight"].item() == pytest.approx(2, abs=0.1)
    assert found["1.bias"].item() == pytest.approx(-1, abs=0.1)
    assert done.figures["loss"] < 0.05
    assert run.record() == done


def test_killed_run_goes_on_as_if_it_had_not_been(line: Any, tmp_path: Path) -> None:
    """Stopped in the middle of the third epoch and resumed, a run gives the same weights from the same data."""
    whole, run = run_of(tmp_path, "whole")
    whole = train(line, whole, run)
    record, cut = run_of(tmp_path, "cut")
    with pytest.raises(Killed):
        train(line, record, cut, stream=dying_after(300))
    assert len(cut.record().epochs) == 2
    resumed = train(line, cut.record(), Run(Storage(tmp_path), "cut"))
    assert load(cut.weights())["1.weight"] == load(run.weights())["1.weight"]
    assert resumed.data == whole.data
    assert [e.loss for e in resumed.epochs] == [e.loss for e in whole.epochs]


def test_half_written_checkpoint_is_not_resumed(line: Any, tmp_path: Path) -> None:
    """A checkpoint whose record is missing counts for nothing: the one before it is taken."""
    record, run = run_of(tmp_path, "a")
    with pytest.raises(Killed):
        train(line, record, run, stream=dying_after(300))
    Storage(tmp_path).write(run.path("checkpoints", "000003", "state.safetensors"), b"cut")
    assert run.checkpoints() == [1, 2]
    assert train(line, run.record(), run).status == "done"


class Overfits:
    """Held-out loss is least after the second evaluation, whatever the network does."""

    def __init__(self, line: Any) -> None:
        self._line, self.evaluations = line, 0
        self.name, self.source, self.defaults = line.name, line.source, line.defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    def evaluate(self, network: Any, examples: Any) -> Evaluation:
        """Return a loss by the number of the evaluation."""
        self.evaluations += 1
        return Evaluation({"loss": abs(self.evaluations - 2.0)}, {})


def test_training_stops_when_held_out_loss_stays(line: Any, tmp_path: Path) -> None:
    """After ``patience`` epochs that were no better it stops, and the weights of the best epoch are written."""
    record, run = run_of(tmp_path, "a", SETTINGS.model_copy(update={"epochs": 10, "patience": 3}))
    done = train(Overfits(line), record, run)
    assert (done.status, len(done.epochs), done.best) == ("stopped", 5, 2)
    network = line.network()
    run.restore(2, network)
    assert load(run.weights())["1.weight"] == network[1].weight.detach().numpy()


@given(st.integers(1, 6), st.integers(6, 12), st.integers(0, 5), st.integers(5, 9))
def test_shards_of_a_step_are_its_examples_whatever_the_team(size: int, batch: int, first: int, steps: int) -> None:
    """Together the members of a team take each example of the remaining steps once, each step its own."""
    taken: list[list[int]] = [[] for _ in range(steps)]
    for rank in range(size):
        shard = Shard(rank, size, batch, first, steps)
        for index, number in enumerate(shard.numbers()):
            taken[first + index // shard.each_step].append(number)
    assert [sorted(numbers) for numbers in taken[first:]] == [
        list(range(step * batch, (step + 1) * batch)) for step in range(first, steps)
    ]


def test_rate_rises_stays_and_falls() -> None:
    """The rate rises over the warm-up, is level, and falls to zero over the last steps."""
    settings = TrainSettings(task="line", examples=4000, epochs=1, batch=4, rate=1.0, warm_up=100, decay=0.2)
    rates = [settings.rate_at(step) for step in range(1000)]
    assert rates[49] == pytest.approx(0.5)
    assert set(rates[99:800]) == {1.0}
    assert np.all(np.diff(rates[800:]) < 0)
    assert rates[-1] == pytest.approx(0.005)


def test_run_is_begun_once_and_resumed_with_its_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is taken is refused, and so are other settings on resuming; an ended run stays as it is."""
    storage, here = Storage(tmp_path), WorkerSettings()
    settings = TrainSettings(task="segmenter", examples=4, epochs=1, held_out=3, batch=2)
    ended = start("a", settings, storage, here)
    with pytest.raises(InputError, match="already"):
        start("a", settings, storage, here)
    with pytest.raises(InputError, match="differ") as told:
        start("a", settings.model_copy(update={"seed": 2}), storage, here, resume=True)
    assert "seed was 1, is 2" in str(told.value)
    assert start("a", settings, storage, here, resume=True) == ended
    assert [record.id for record in all_runs(storage)] == ["a"]
