"""A fitted classifier as one file of arrays (safetensors), and what its members say of groups."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import InputError, LimitError
from .features import FEATURES, bins_of
from .forest import LEAF, Forest
from .inputs import FRONT_BYTES, Inputs
from .networks import Convolution, Recurrence, named
from .vote import FLOOR, SIGNS, Vote, log_softmax

MAX_FILE = 64 << 20
VERSION = 2
PROTOCOL_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
BLOCK = 256  # messages worked on at a time: their layers stay in the cache

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """
    The members of the vote and how they are weighed.

    Attributes:
        protocols: names of the classes; the class behind the last one is "none of these".
        background: messages of the training set that stand in for what is hidden when reasons are looked for.
        about: what it was fitted on and how, for people.
        digest: SHA-256 of the file, or of nothing for a model that was never written.
    """

    protocols: tuple[str, ...]
    forest: Forest
    convolution: Convolution
    recurrence: Recurrence
    vote: Vote
    background: Inputs
    about: dict[str, Any]
    digest: str = ""

    def logs(self, inputs: Inputs, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """
        Return (members, groups, classes) log probabilities before the vote.

        Args:
            starts: int64, ascending from 0: the first message of each group; a group ends where the next one starts.
        """
        sizes = np.diff(np.append(starts, len(inputs)))
        made = np.empty((3, len(starts), len(self.protocols) + 1), np.float32)
        # Between the mean of the shares, in which a few sure messages outweigh many, and that of their logarithms,
        # which one message undoes that no tree knows.
        roots = np.sqrt(np.sqrt(self.forest.probabilities(inputs.features) + FLOOR))
        made[0] = _log_normal(4 * np.log(np.add.reduceat(roots, starts, axis=0) / sizes[:, None]))
        members: tuple[Convolution | Recurrence, ...] = (self.convolution, self.recurrence)
        for index, member in enumerate(members, 1):
            embedded = np.concatenate(
                [member.embeddings(inputs.take(slice(i, i + BLOCK))) for i in range(0, len(inputs), BLOCK)]
            )
            mean = (np.add.reduceat(embedded, starts, axis=0) / sizes[:, None]).astype(np.float32)
            made[index] = _log_normal(member.classes(mean, np.maximum.reduceat(embedded, starts, axis=0)))
        return made

    def probabilities(self, inputs: Inputs, starts: NDArray[np.int64]) -> Array:
        """Return (groups, classes) calibrated probabilities; the last class is "none of these"."""
        sizes = np.diff(np.append(starts, len(inputs)))
        return self.vote.probabilities(self.logs(inputs, starts), sizes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file of a model holds; networks in half precision."""
        arrays: dict[str, NDArray[Any]] = {}
        for prefix, member in (("convolution.", self.convolution), ("recurrence.", self.recurrence)):
            arrays |= {prefix + name: value.astype(np.float16) for name, value in member.weights.items()}
        arrays |= self.forest.arrays()
        arrays |= {"vote.base": self.vote.base, "vote.growth": self.vote.growth, "vote.doubt": self.vote.doubt}
        arrays |= {"background.values": self.background.values, "background.features": self.background.features}
        document = {"version": VERSION, "protocols": list(self.protocols), "about": self.about}
        arrays["document"] = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
        return arrays

    def write(self, path: Path) -> None:
        """Write the file that ``read`` reads."""
        path.write_bytes(save(self.arrays()))

    @classmethod
    def read(cls, path: Path) -> Model:
        """
        Read a model.

        Raises:
            InputError: there is no such file, or it is not a model of this version.
            LimitError: it is larger than ``MAX_FILE``.
        """
        try:
            size = path.stat().st_size
            if size > MAX_FILE:
                raise LimitError(f"a model of {size} bytes", where=str(path), hint=f"at most {MAX_FILE}")
            content = path.read_bytes()
            return cls.of(load(content), hashlib.sha256(content).hexdigest())
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"not a classifier's weights: {error}", where=str(path)) from error

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], digest: str = "") -> Model:
        """Return the model with the arrays that ``arrays`` gave; ValueError or KeyError where they are not such."""
        document = json.loads(arrays["document"].tobytes())
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']}, not {VERSION}")
        protocols = tuple(document["protocols"])
        if not all(isinstance(name, str) and PROTOCOL_NAME.fullmatch(name) for name in protocols):
            raise ValueError("a protocol's name is malformed")
        features = np.ascontiguousarray(arrays["background.features"], np.int32)
        made = cls(
            protocols=protocols,
            forest=Forest.read(arrays, len(protocols) + 1),
            convolution=Convolution.read(named(arrays, "convolution.")),
            recurrence=Recurrence.read(named(arrays, "recurrence.")),
            vote=Vote(*(np.asarray(arrays[f"vote.{name}"], np.float64) for name in ("base", "growth", "doubt"))),
            background=Inputs(np.asarray(arrays["background.values"], np.int16), bins_of(features), features),
            about=document["about"],
            digest=digest,
        )
        _check(made)
        return made


def _check(model: Model) -> None:
    """Raise ValueError where an array would lead a kernel outside of another."""
    inputs = model.background
    if not (_nodes_sound(model.forest) and _leaves_sound(model.forest)):
        raise ValueError("the forest's arrays do not fit together")
    if inputs.values.shape[1:] != (FRONT_BYTES,) or inputs.features.shape != (len(inputs), FEATURES):
        raise ValueError("the background's arrays have another shape")
    if model.vote.base.shape != (3,) or model.vote.growth.shape != (3,) or model.vote.doubt.shape != (SIGNS,):
        raise ValueError("the vote's arrays have another shape")
    # A wrong shape in a network raises here rather than at the first message.
    model.logs(inputs, np.arange(len(inputs)))


def _nodes_sound(forest: Forest) -> bool:
    """Return whether every walk stays inside the nodes and goes on to the end: children lie behind their parents."""
    node = np.arange(len(forest.feature))
    leaf = forest.feature == LEAF
    inside = (forest.right < len(node)) & np.where(leaf, True, forest.right > node + 1)
    return (
        len(forest.right) == len(forest.threshold) == len(node)
        and bool((forest.feature[~leaf] < FEATURES).all() and inside.all() and leaf[-1:].all())
        and bool(((forest.roots >= 0) & (forest.roots < len(node))).all())
    )


def _leaves_sound(forest: Forest) -> bool:
    """Return whether every leaf has its shares, of classes that there are."""
    number = forest.right[forest.feature == LEAF]
    return (
        bool(((number >= 0) & (number < len(forest.first) - 1)).all())
        and bool((np.diff(forest.first) >= 0).all() and forest.first[0] >= 0)
        and int(forest.first[-1]) <= len(forest.share) == len(forest.share_class)
        and bool((forest.share_class < forest.classes).all())
    )


def _log_normal(x: NDArray[np.floating[Any]]) -> Array:
    return log_softmax(x.astype(np.float64)).astype(np.float32)


@cache
def shipped() -> Model:
    """Return the model whose weights the package holds."""
    return Model.read(Path(__file__).with_name("weights.safetensors"))
