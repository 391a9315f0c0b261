"""The reliability diagram is a picture of the parts that were measured."""

from __future__ import annotations

from xml.etree import ElementTree

from qbitel.train.evaluation.reliability import LEFT, SIDE, TOP, reliability_plot


def test_points_lie_where_they_were_measured_and_are_as_large_as_their_share() -> None:
    """What holds lies on the diagonal, what is said too boldly below it, and more of all is a larger point."""
    svg = ElementTree.fromstring(reliability_plot({"one": [(0.25, 0.25, 0.1), (0.9, 0.6, 0.4)], "two": [(1, 1, 1)]}))
    points = [
        tuple(float(c.get(name, "")) for name in ("cx", "cy", "r"))
        for c in svg.iter("{http://www.w3.org/2000/svg}circle")
    ]
    (x, y, small), (bold_x, bold_y, large), (last_x, last_y, _) = points
    assert (x - LEFT) / SIDE == 0.25 == (TOP + SIDE - y) / SIDE
    assert TOP + SIDE - bold_y < bold_x - LEFT
    assert small < large
    assert (last_x, last_y) == (LEFT + SIDE, TOP)
    assert {t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")} >= {"one", "two", "probability", "right"}
