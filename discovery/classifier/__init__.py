"""Which known protocol messages are of, by a calibrated vote of two networks and a forest; what is unknown stays so."""

from .classifier import ProtocolClassifier
from .clusters import UnknownClusters
from .result import Candidate, Classification, Reason

__all__ = ["Candidate", "Classification", "ProtocolClassifier", "Reason", "UnknownClusters"]
