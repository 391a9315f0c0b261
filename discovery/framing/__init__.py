"""How byte streams are cut into messages: inferring the framing, and applying it."""

from .cut import Cuts, cut_streams
from .infer import infer_framing

__all__ = ["Cuts", "cut_streams", "infer_framing"]
