"""Hand a command of ``qbitel`` to a Ray cluster as a job: the same command, run there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..discovery.errors import InputError


def entrypoint(arguments: Sequence[str]) -> str:
    """Return the shell command that runs these arguments of ``qbitel`` there, without ``--submit``."""
    kept = list(arguments)
    for index, argument in enumerate(arguments):
        if argument == "--submit":
            kept = [*arguments[:index], *arguments[index + 2 :]]
        elif argument.startswith("--submit="):
            kept = [*arguments[:index], *arguments[index + 1 :]]
    return shlex.join(["qbitel", *kept])


def submit_command(address: str, arguments: Sequence[str]) -> str:
    """
    Submit the command to the cluster whose dashboard has this address, and return the job's id.

    The package is part of the cluster's image or environment: nothing of it is shipped with the job.

    Raises:
        InputError: nothing answers there.
    """
    from ray.job_submission import JobSubmissionClient

    try:
        made: str = JobSubmissionClient(address).submit_job(entrypoint=entrypoint(arguments))
    except (ConnectionError, RuntimeError) as error:
        raise InputError(f"the job was not taken: {error}", where=address) from error
    return made
