"""ProtocolClassifier: which known protocol messages are of, with reasons, or that they are of none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ..batch import MessageBatch, MessageView
from ..errors import InputError
from .clusters import Names, name_of, signature_of
from .inputs import Inputs, read_inputs
from .model import Model, shipped
from .reasons import reasons_for
from .result import Candidate, Classification

MOST_READ = 64  # messages of a group, spread evenly over it
CHUNK = 4096
SURE = 0.5  # a protocol is named where it is likelier than all else together

_libraries = ThreadpoolController()


class ProtocolClassifier:
    """
    A calibrated vote of a convolution, an LSTM and a forest over bytes, lengths and directions.

    Args:
        model: the fitted members; those that the package ships where None.
    """

    def __init__(self, model: Model | None = None) -> None:
        self.model = model or shipped()

    @classmethod
    def load(cls, path: Path | None = None) -> ProtocolClassifier:
        """
        Return the classifier of a file of weights, or the shipped one.

        Raises:
            InputError: the file is not one. LimitError: it is too large.
        """
        return cls(None if path is None else Model.read(path))

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of the protocols that it knows."""
        return self.model.protocols

    def classify(
        self,
        batch: MessageBatch,
        *,
        top: int = 3,
        reasons: int = 0,
        clusters: Names | None = None,
    ) -> Classification:
        """
        Say which protocol the messages of one group (a flow, a port, a single message) are of.

        Args:
            batch: one message or more; of more than ``MOST_READ``, as many are read, spread evenly.
            top: candidates to name; reasons: facts to look for behind each of them (tens of milliseconds).
            clusters: the unknown protocols met so far; a new one is added. Without it, an unknown group is named after
                itself alone.

        Raises:
            InputError: there is no message.
        """
        view = _spread(batch.view())
        if not len(view):
            raise InputError("no messages to classify")
        with _libraries.limit(limits=1, user_api="blas"):
            inputs = read_inputs(view)
            found = self.model.probabilities(inputs, np.zeros(1, np.int64))[0]
            order = [int(i) for i in np.argsort(-found[:-1], kind="stable")[: max(top, 1)]]
            named = float(found[order[0]]) >= SURE
            candidates = [
                Candidate(
                    protocol=self.protocols[i],
                    probability=round(float(found[i]), 4),
                    reasons=reasons_for(self.model, inputs, i, reasons) if reasons else [],
                )
                for i in order
            ]
        unknown = round(1 - float(found[order[0]]), 4)
        return Classification(
            protocol=candidates[0].protocol if named else None,
            probability=candidates[0].probability if named else round(float(found[-1]), 4),
            unknown=min(max(unknown, 0.0), 1.0),
            candidates=candidates[:top],
            cluster=None if named else clusters.name(view) if clusters is not None else name_of(signature_of(view)),
            messages=len(batch),
            model=self.model.digest,
        )

    def classify_each(self, batch: MessageBatch) -> pa.Table:
        """
        Classify every message by itself.

        Returns:
            A table with one row a message: protocol (dictionary of strings, null where unknown), probability (float32)
            of the likeliest known protocol whether named or not, unknown (float32).
        """
        view = batch.view()
        best, probability = np.zeros(len(view), np.int32), np.zeros(len(view), np.float32)
        with _libraries.limit(limits=1, user_api="blas"):
            for start in range(0, len(view), CHUNK):
                found = self.model.probabilities(*_alone(view.take(slice(start, start + CHUNK))))[:, :-1]
                rows = slice(start, start + len(found))
                best[rows], probability[rows] = found.argmax(axis=1), found.max(axis=1)
        codes = pa.array(best, pa.int32(), mask=probability < SURE)
        columns = {
            "protocol": pa.DictionaryArray.from_arrays(codes, pa.array(self.protocols)),
            "probability": pa.array(probability),
            "unknown": pa.array(1 - probability),
        }
        return pa.table(columns)


def _alone(view: MessageView) -> tuple[Inputs, NDArray[np.int64]]:
    return read_inputs(view), np.arange(len(view), dtype=np.int64)


def _spread(view: MessageView) -> MessageView:
    if len(view) <= MOST_READ:
        return view
    return view.take(np.linspace(0, len(view) - 1, MOST_READ).astype(np.int64))
