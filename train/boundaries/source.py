"""Simulated protocols as a source of training examples of the boundary network."""

from __future__ import annotations

from dataclasses import dataclass

from .examples import Example, example

FIRST = 1000  # seeds of the simulator below it are held out
STREAM = 10_000_000  # seeds that each seed of a training has for itself


@dataclass(frozen=True)
class SimulatedBoundaries:
    """Examples of simulated protocols, one seed of the simulator each."""

    @property
    def kind(self) -> type[Example]:
        """What an example is."""
        return Example

    def example(self, seed: int, number: int) -> Example:
        """Return an example to train on."""
        return example(FIRST + (seed - 1) * STREAM + number)

    def held_out(self, part: int, number: int) -> Example:
        """Return an example to judge by; there are ``FIRST`` of them."""
        return example(number % FIRST)
