"""The growth plot is a picture of the points that were measured."""

from __future__ import annotations

from xml.etree import ElementTree

from qbitel.train.evaluation.plot import HEIGHT, WIDTH, growth_plot


def test_every_point_lies_on_the_picture_in_order() -> None:
    """One dot a point, left to right with more messages, higher with more seconds, inside the picture."""
    svg = ElementTree.fromstring(growth_plot([(200, 0.1), (1_000, 0.3), (100_000, 2.0)]))
    dots = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(dots) == 3
    assert dots == sorted(dots) and [y for _, y in dots] == sorted((y for _, y in dots), reverse=True)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in dots)
