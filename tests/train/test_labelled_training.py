"""Training on labelled messages: what is held out, what becomes of a deleted set, what may challenge a champion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load

from qbitel.cluster.database import open_engine
from qbitel.cluster.registry import CHAMPION, Registry
from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import InputError, NotFoundError
from qbitel.train.labels import Labels
from qbitel.train.sets import SetVersion, TrainingSets
from qbitel.train.settings import TrainSettings, WorkerSettings

pytest.importorskip("torch")

from qbitel.train.boundaries.labelled import MixedBoundaries, is_held_out
from qbitel.train.boundaries.objective import loss_of
from qbitel.train.boundaries.task import SegmenterTask
from qbitel.train.loop import new_record, train
from qbitel.train.retrain import retrain
from qbitel.train.runs import Run

TINY = TrainSettings(task="segmenter", examples=8, epochs=1, held_out=6, rate=1e-4)


def labels_of(storage: Storage, version: SetVersion) -> Labels:
    """Return what a run is given of a set."""
    return Labels(storage.uri, f"{version.name}@{version.number}", version.digest)


def test_files_are_trained_on_or_judged_by(storage: Storage, labelled: SetVersion) -> None:
    """With a share of one all examples are of files that are not held out; every other judging one is of those."""
    held = [name for name in labelled.files if is_held_out(name.removesuffix(".parquet"))]
    assert 0 < len(held) < len(labelled.files)
    source = MixedBoundaries(labels_of(storage, labelled), share=1.0)
    payloads = {name: set(_payloads(storage, labelled, name)) for name in labelled.files}
    for number in range(6):
        learned, judged = source.example(1, number), source.held_out(1, 2 * number + 1)
        for one, names in ((learned, set(labelled.files) - set(held)), (judged, set(held))):
            flat = one.inputs.flat
            first = flat.values[flat.row == 0].astype(np.uint8).tobytes()
            assert any(message[:512] == first for name in names for message in payloads[name])
            assert one.target.sum() > 0
            assert loss_of(SegmenterTask().network(), one).item() > 0  # meanings are not told, and count for nothing


def _payloads(storage: Storage, version: SetVersion, name: str) -> list[bytes]:
    data = storage.read(f"sets/objects/{version.files[name]}")
    found: list[bytes] = pq.read_table(pa.BufferReader(data)).column("payload").to_pylist()
    return found


def test_deleted_set_ends_the_run_that_needs_it(storage: Storage, labelled: SetVersion) -> None:
    """A run whose set was deleted is told so when it wants to read it."""
    TrainingSets(storage).delete("plant")
    with pytest.raises(NotFoundError, match="no such training set"):
        MixedBoundaries(labels_of(storage, labelled), share=1.0).example(1, 1)


def test_outcome_challenges_unless_it_is_worse(storage: Storage, labelled: SetVersion, tmp_path: Path) -> None:
    """Gone on from the shipped weights it challenges them; begun from nothing it is worse, and is only registered."""
    from qbitel.discovery.boundaries.network import __file__ as network

    shipped = Path(network).with_name("weights.safetensors").read_bytes()
    engine = open_engine(tmp_path / "catalog.sqlite")
    registry = Registry(engine, storage)
    champion = registry.register("segmenter", shipped, {}, {})
    registry.alias("segmenter@1", CHAMPION)
    named = {"labelled": "plant@1", "labelled_digest": labelled.digest}
    here = WorkerSettings()
    going_on = TINY.model_copy(update={**named, "start": champion.digest, "rate": 1e-9})
    made = retrain("a", going_on, storage, here, registry)
    assert made.challenges
    assert made.version.aliases == ("challenger",)
    assert made.version.lineage["sets"] == {"plant@1": labelled.digest}
    afresh = retrain("b", TINY.model_copy(update=named), storage, here, registry)
    assert [one.verdict for one in afresh.differences if one.name == "loss"] == ["worse"]
    assert afresh.version.aliases == ()
    assert registry.version("segmenter@challenger").number == made.version.number
    engine.dispose()


def test_classifier_is_trained_by_the_same_loop(storage: Storage, labelled: SetVersion) -> None:
    """Networks, forest and vote come out as one model that inference reads, better than chance on other captures."""
    pytest.importorskip("sklearn")
    from qbitel.discovery.classifier.model import Model
    from qbitel.train.classifier.source import KnownProtocols
    from qbitel.train.classifier.task import ClassifierTask

    task = ClassifierTask(KnownProtocols(labels_of(storage, labelled), simulations=20))
    settings = TrainSettings(task="classifier", examples=40, epochs=2, batch=2, rate=3e-3, decay=1.0, held_out=6)
    run = Run(storage, "c")
    done = train(task, new_record("c", settings), run)
    model = Model.of(load(run.weights()))
    assert model.protocols == tuple(sorted(name.removesuffix(".parquet") for name in labelled.files))
    assert done.figures["accuracy"] > 0.5
    again = task.judge(load(run.weights()), [task.source.held_out(1, 6)])
    assert again.figures["accuracy"] > 0.3
    with pytest.raises(InputError, match="learns from a training set"):
        ClassifierTask.made(None, settings)
