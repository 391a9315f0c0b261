"""
The catalog's tables as they came to be: one numbered step a file of ``versions``, run when a catalog is opened.

Steps only go up; the way back is a backup. A step that another process runs meanwhile is waited for.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ...discovery.errors import InputError


@cache
def _steps() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


@cache
def newest() -> str:
    """Return the number of the newest step, as four digits."""
    head = _steps().get_current_head()
    assert head is not None
    return head


def revision(connection: Connection) -> str | None:
    """Return the number of the last step that was run on a catalog; None where none was."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, to: str | None = None) -> None:
    """
    Run the steps that a catalog lacks, within the caller's transaction, which nobody else may share.

    Args:
        to: the last step to run; None: the newest.

    Raises:
        InputError: the catalog is of a newer qbitel.
    """
    now, target = revision(connection), to or newest()
    if now is not None and now > newest():
        hint = "upgrade qbitel, or restore the backup that was made before"
        raise InputError(f"the catalog is of a newer qbitel (step {now}, known {newest()})", where="catalog", hint=hint)
    if now is not None and now >= target:
        return

    def missing(found: Any, _: MigrationContext) -> list[Any]:
        return _steps()._upgrade_revs(target, found)

    with EnvironmentContext(Config(), _steps(), fn=missing) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
