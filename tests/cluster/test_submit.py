"""A command that is submitted runs there as it was given here."""

from __future__ import annotations

import pytest

from qbitel.cluster.submit import entrypoint, submit_command
from qbitel.discovery.errors import InputError


def test_submitted_command_is_the_same_without_the_address() -> None:
    """Every argument is kept and quoted for the shell, but the one that would submit it again."""
    given = ["train", "segmenter", "--submit", "http://head:8265", "--workers", "2", "--storage", "s3://caps/my runs"]
    expected = "qbitel train segmenter --workers 2 --storage 's3://caps/my runs'"
    assert entrypoint(given) == expected
    assert entrypoint(["train", "segmenter", "--submit=http://head:8265", *given[4:]]) == expected


def test_cluster_that_does_not_answer_is_told() -> None:
    """Where nothing listens, submitting is an error of input, not a trace."""
    pytest.importorskip("ray")
    with pytest.raises(InputError, match="not taken"):
        submit_command("http://127.0.0.1:9", ["train", "segmenter"])
