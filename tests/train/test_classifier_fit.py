"""The parts that the classifier is fitted with, and the two forms of its networks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qbitel.discovery.classifier.model import shipped
from qbitel.train.classifier.examples import Examples, folds_of, groups_of, read_examples
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
    from qbitel.train.classifier.fit import module

    model, inputs = shipped(), known.inputs.take(slice(0, 40))
    for name, member in (("convolution", model.convolution), ("recurrence", model.recurrence)):
        network = module[name](len(model.protocols) + 1)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in member.weights.items()})
        network.eval()
        with torch.no_grad():
            values, bins = (torch.from_numpy(part.astype(np.int64)) for part in (inputs.values, inputs.bins))
            expected = network(values, bins).numpy()
        assert np.allclose(member.embeddings(inputs), expected, atol=1e-3)
