"""Random protocols with known truth: what boundaries are fitted on, and what tests recompute."""

from .simulate import FAMILIES, SimulatedProtocol, simulate

__all__ = ["FAMILIES", "SimulatedProtocol", "simulate"]
