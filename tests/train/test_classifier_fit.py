"""The parts that the classifier is fitted with, and the two forms of its networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qbitel.discovery.classifier.model import shipped
from qbitel.discovery.classifier.vote import log_softmax
from qbitel.train.classifier.examples import Examples, folds_of, groups_of, read_examples
from qbitel.train.classifier.source import CALIBRATING, JUDGING, TRAINING, parts_of
from qbitel.train.simulator import simulate


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Return three simulated protocols, each in six captures."""
    folder = tmp_path_factory.mktemp("known")
    many = (found for seed in range(99) if len(found := sorted(set(simulate(seed).messages))) >= 60)
    for name, payloads in zip(("alpha", "beta", "gamma"), (payloads[:120] for payloads in many), strict=False):
        columns = {"payload": payloads, "source_pcap": [f"{name}{i % 6}" for i in range(len(payloads))]}
        pq.write_table(pa.table({**columns, "direction": ["c2s"] * len(payloads)}), folder / f"{name}.parquet")
    return read_examples(folder)


def test_folds_keep_captures_whole(known: Examples) -> None:
    """No capture is in two folds, and every protocol is in every fold that its captures can fill."""
    fold = folds_of(known, 3)
    for capture in set(known.capture.tolist()):
        assert len(set(fold[known.capture == capture].tolist())) == 1
    for label in range(3):
        assert set(fold[known.label == label].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("fold", range(5))
def test_captures_train_calibrate_or_judge(known: Examples, fold: int) -> None:
    """No capture has two parts, something calibrates, and every protocol is trained on."""
    part = parts_of(known, fold)
    for capture in set(known.capture.tolist()):
        assert len(set(part[known.capture == capture].tolist())) == 1
    assert {TRAINING, CALIBRATING, JUDGING} == set(part.tolist())
    assert set(known.label[part == TRAINING].tolist()) == {0, 1, 2}


def test_every_capture_judges_once(known: Examples) -> None:
    """Over the five folds each message is judged by one model."""
    judged = sum((parts_of(known, fold) == JUDGING).astype(int) for fold in range(5))
    assert np.array_equal(judged, np.ones_like(known.label))


def test_groups_are_of_one_protocol_and_capture(known: Examples) -> None:
    """Groups cover the rows once and never mix captures."""
    groups = groups_of(known, np.arange(len(known.label)), 8)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(known.label)))
    for group in groups:
        assert len(group) <= 8
        assert len({(known.label[i], known.capture[i]) for i in group.tolist()}) == 1


def test_the_forest_as_arrays_says_what_scikit_learn_says(known: Examples) -> None:
    """The kernel's probabilities differ from those of the fitted forest by the rounding of shares only."""
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier

    from qbitel.train.classifier import forest as fitting

    weight = fitting.weights_of(known.label, known.capture)
    made = fitting.fit_forest(known.inputs.features, known.label, weight, 3)
    there = RandomForestClassifier(fitting.TREES, min_samples_leaf=fitting.LEAST, random_state=0, n_jobs=1)
    there.fit(known.inputs.features.astype(np.float32), known.label, sample_weight=weight)
    asked = known.inputs.features
    assert np.abs(made.probabilities(asked) - there.predict_proba(asked)).max() < 0.01


def test_torch_and_numpy_compute_the_same_networks(known: Examples) -> None:
    """Embeddings of the trained form and of the shipped form differ by rounding only."""
    torch = pytest.importorskip("torch")
    from qbitel.train.classifier.networks import module

    model, inputs = shipped(), known.inputs.take(slice(0, 40))
    for name, member in (("convolution", model.convolution), ("recurrence", model.recurrence)):
        network = module[name](len(model.protocols) + 1)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in member.weights.items()})
        network.eval()
        with torch.no_grad():
            values, bins = (torch.from_numpy(part.astype(np.int64)) for part in (inputs.values, inputs.bins))
            expected = network(values, bins).numpy()
        assert np.allclose(member.embeddings(inputs), expected, atol=1e-3)


def test_vote_is_as_good_as_its_best_member_and_means_what_it_says() -> None:
    """Members that only guess spoil nothing; of groups that are 80 % sure, 80 % are right; strange ones are told."""
    pytest.importorskip("torch")
    from qbitel.train.classifier.vote import Heard, vote_of
    from qbitel.train.evaluation.classification import judged, of_member

    def heard(seed: int, label: np.ndarray, sure: float) -> Heard:
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(3, len(label), 5))
        logits[0, np.arange(len(label)), label] += sure
        logits[0] *= 8  # says more than it knows
        return Heard(log_softmax(logits).astype(np.float32), np.full(len(label), 4), label)

    drawn = np.random.default_rng(7).integers(0, 4, 4000)
    strange = np.full(4000, 4)
    vote = vote_of([heard(1, drawn, 2.0)], [heard(2, strange, 3.0)])
    asked = [heard(3, drawn, 2.0), heard(4, strange, 3.0)]
    names = ("a", "b", "c", "d")
    model = dataclasses.replace(shipped(), vote=vote)
    made, best = judged(model, asked, names), of_member(asked, 0, names)
    assert made.macro() >= best.macro() - 0.005
    assert made.auroc() > 0.9
    assert best.calibration_error() > 0.1
    assert made.calibration_error() < 0.03
    assert made.calibration_error(named=True) < 0.05
