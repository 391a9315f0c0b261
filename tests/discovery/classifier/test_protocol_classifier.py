"""The classifier that the package ships: its answers, its reasons, its names for the unknown, its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.classifier import ProtocolClassifier, UnknownClusters
from qbitel.discovery.classifier.clusters import overlap, signature_of
from qbitel.discovery.classifier.features import AT_LENGTHS, NEAR, features_of
from qbitel.discovery.classifier.inputs import ABSENT, read_inputs
from qbitel.discovery.classifier.model import Model, shipped
from qbitel.discovery.errors import InputError
from qbitel.train.simulator import simulate

ASKED = [bytes([0, n, 0, 0, 0, 6, 1, 3, 0, n, 0, 2]) for n in range(24)]
TOLD = [bytes([0, n, 0, 0, 0, 7, 1, 3, 4, 0, n, 1, n]) for n in range(24)]


def modbus() -> MessageBatch:
    """Return reads of Modbus registers and their answers."""
    return MessageBatch.from_payloads(ASKED + TOLD, direction=[1] * 24 + [2] * 24)


def test_a_known_protocol_is_named_with_reasons_that_hold() -> None:
    """Modbus is named, and its reasons name bytes that the messages have."""
    found = ProtocolClassifier.load().classify(modbus(), reasons=4)
    assert found.protocol == "modbus"
    assert found.unknown == pytest.approx(1 - found.probability, abs=1e-3)
    assert found.candidates[0].reasons
    for reason in found.candidates[0].reasons:
        assert reason.weight > 0
        if reason.kind == "byte" and reason.start is not None and " in 48 of 48 " in reason.text:
            value = int(reason.text.split("0x")[1][:2], 16)
            assert all(payload[reason.start] == value for payload in ASKED + TOLD)


def test_ports_addresses_times_and_flows_change_nothing() -> None:
    """What the columns beside payload and direction say is not read."""
    batch = modbus()
    dressed = MessageBatch.from_payloads(
        batch.payloads(), direction=[1] * 24 + [2] * 24, sport=[53] * 48, dport=[53] * 48, ts=[9.0] * 48, flow=[7] * 48
    )
    classifier = ProtocolClassifier.load()
    assert classifier.classify(batch) == classifier.classify(dressed)


def test_messages_alone_and_by_classify_are_judged_alike() -> None:
    """A table row and a group of one message have the same probability, in chunks or not."""
    classifier = ProtocolClassifier.load()
    table = classifier.classify_each(modbus())
    for row in (0, 30):
        alone = classifier.classify(modbus().slice(row, 1), top=1)
        assert alone.candidates[0].probability == pytest.approx(table["probability"][row].as_py(), abs=2e-4)
        assert alone.protocol == table["protocol"][row].as_py()


def test_an_unknown_protocol_keeps_its_name_in_another_capture() -> None:
    """Two halves of a simulated protocol get one name, two protocols two names, and the store survives its file."""
    clusters = UnknownClusters()
    one, two = (simulate(seed).batch().view() for seed in (11, 12))
    half = np.arange(len(one)) % 2 == 0
    first = clusters.name(one.take(half))
    assert clusters.name(one.take(~half)) == first
    assert clusters.name(two) != first
    assert overlap(signature_of(one), signature_of(one)) > overlap(signature_of(one), signature_of(two))


def test_the_store_of_unknown_protocols_survives_its_file(tmp_path: Path) -> None:
    """What was written is read back; a file of something else is refused."""
    clusters = UnknownClusters()
    clusters.name(simulate(3).batch().view())
    clusters.write(tmp_path / "unknowns.json")
    assert UnknownClusters.read(tmp_path / "unknowns.json") == clusters
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match="store of unknown"):
        UnknownClusters.read(tmp_path / "other.json")


def test_no_messages_are_an_error() -> None:
    """An empty batch has no class."""
    with pytest.raises(InputError, match="no messages"):
        ProtocolClassifier.load().classify(MessageBatch.from_payloads([]))


def test_the_model_survives_its_file_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    """A written model answers as before; arrays that would lead out of bounds are an input error."""
    model = shipped()
    model.write(tmp_path / "weights.safetensors")
    again = Model.read(tmp_path / "weights.safetensors")
    inputs = read_inputs(modbus().view())
    starts = np.arange(len(inputs))
    assert np.allclose(model.probabilities(inputs, starts), again.probabilities(inputs, starts), atol=1e-6)
    arrays = load((tmp_path / "weights.safetensors").read_bytes())
    arrays["forest.right"] = arrays["forest.right"] + len(arrays["forest.right"])
    (tmp_path / "broken.safetensors").write_bytes(save(arrays))
    (tmp_path / "text.safetensors").write_text("no")
    for name in ("broken.safetensors", "text.safetensors", "absent.safetensors"):
        with pytest.raises(InputError, match="not a classifier"):
            Model.read(tmp_path / name)


def test_features_read_the_length_and_nothing_behind_the_end() -> None:
    """A number that tells the length has its difference; bytes that are not there are marked."""
    view = MessageBatch.from_payloads([b"\x00\x04ab", b"\x09"], direction=[1, 2]).view()
    features, inputs = features_of(view), read_inputs(view)
    assert features[0, AT_LENGTHS + 1] == 0  # u16 big-endian at 0
    assert features[1, AT_LENGTHS + 1] == NEAR + 1  # does not fit
    assert inputs.values[0, 4] == ABSENT
    assert inputs.values[1, :2].tolist() == [9, ABSENT]
