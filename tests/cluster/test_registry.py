"""The registry gives back the weights that were registered, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from qbitel.cluster.database import open_engine
from qbitel.cluster.registry import CHALLENGER, CHAMPION, Registry
from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import InputError, NotFoundError


def weights(value: float) -> bytes:
    """Return weights of one number."""
    return save({"out.bias": np.array([value], np.float32)})


@pytest.fixture
def registry(catalog_address: str, tmp_path: Path) -> Iterator[Registry]:
    """Give an empty registry."""
    engine = open_engine(catalog_address)
    yield Registry(engine, Storage(tmp_path))
    engine.dispose()


def test_alias_stands_for_one_version_at_a_time(registry: Registry) -> None:
    """An alias that moves leaves the version it stood for; the bare name is the champion."""
    for value in (1.0, 2.0):
        registry.register("segmenter", weights(value), {"run": f"r{value}"}, {"f1": value})
    registry.alias("segmenter@1", CHAMPION)
    registry.alias("segmenter@2", CHALLENGER)
    assert registry.weights("segmenter") == weights(1.0)
    registry.alias(f"segmenter@{CHALLENGER}", CHAMPION)
    assert registry.weights("segmenter") == weights(2.0)
    assert {v.number: v.aliases for v in registry.versions("segmenter")} == {2: (CHALLENGER, CHAMPION), 1: ()}
    registry.drop_alias("segmenter", CHALLENGER)
    with pytest.raises(NotFoundError):
        registry.version("segmenter@challenger")


def test_changed_weights_are_not_given_out(registry: Registry, tmp_path: Path) -> None:
    """Weights whose file was exchanged or cut after registration are refused."""
    version = registry.register("segmenter", weights(1.0), {}, {})
    file = tmp_path / "models" / f"{version.digest}.safetensors"
    for data in (weights(2.0), weights(1.0)[:-1]):
        file.write_bytes(data)
        with pytest.raises(InputError, match="not those that were registered"):
            registry.weights("segmenter@1")


def test_what_is_not_safetensors_is_not_registered(registry: Registry) -> None:
    """Bytes of another format, as a pickle, become no version."""
    for data in (b"\x80\x04N.", b"", weights(1.0)[:-2]):
        with pytest.raises(InputError, match="safetensors"):
            registry.register("segmenter", data, {}, {})
    assert registry.versions() == []


def test_same_weights_are_one_version(registry: Registry) -> None:
    """Registering the same weights again gives the first version with its lineage."""
    first = registry.register("segmenter", weights(1.0), {"run": "a"}, {})
    again = registry.register("segmenter", weights(1.0), {"run": "b"}, {})
    assert (again.number, again.lineage) == (first.number, {"run": "a"})


def test_many_registering_at_once_get_numbers_of_their_own(registry: Registry) -> None:
    """Versions registered at the same time are numbered 1, 2, 3 … without gaps."""
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda v: registry.register("segmenter", weights(v), {}, {}).number, range(6)))
    assert sorted(made) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["", "../up", "Segmenter", "a b", "x" * 65])
def test_names_keep_to_the_allow_list(registry: Registry, name: str) -> None:
    """Names that could be paths or markup are refused."""
    with pytest.raises(InputError, match="not a name"):
        registry.register(name, weights(1.0), {}, {})
