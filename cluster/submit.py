"""Hand a command of ``qbitel`` to a Ray cluster as a job: the same command, run there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

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


def submit_command(address: str, arguments: Sequence[str], job: str | None = None) -> str:
    """
    Submit the command to the cluster whose dashboard has this address, and return the job's id.

    The package is part of the cluster's image or environment: nothing of it is shipped with the job.

    Args:
        job: id to give it; where there is a job of that id already, that one is meant.

    Raises:
        InputError: nothing answers there.
    """
    from ray.job_submission import JobSubmissionClient

    try:
        client = JobSubmissionClient(address)
        if job is not None and _status(client, job) is not None:
            return job
        made: str = client.submit_job(entrypoint=entrypoint(arguments), submission_id=job)
    except (ConnectionError, RuntimeError) as error:
        raise InputError(f"the job was not taken: {error}", where=address) from error
    return made


def job_status(address: str, job: str) -> str | None:
    """
    Return a job's status (``pending``, ``running``, ``succeeded``, ``failed``, ``stopped``); None: it is unknown.

    Raises:
        InputError: nothing answers there.
    """
    from ray.job_submission import JobSubmissionClient

    try:
        return _status(JobSubmissionClient(address), job)
    except (ConnectionError, RuntimeError) as error:
        raise InputError(f"no answer: {error}", where=address) from error


def _status(client: Any, job: str) -> str | None:
    try:
        return str(client.get_job_status(job).value).lower()
    except RuntimeError as error:
        if "404" in str(error) or "does not exist" in str(error):
            return None
        raise
