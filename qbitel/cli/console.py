"""What the commands share with the terminal: a progress bar on work over a second, JSON where a program reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..discovery.orchestrator import STAGES

Item = TypeVar("Item")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """Print a document as one line of JSON with sorted keys."""
    sys.stdout.write(json.dumps(document, sort_keys=True, ensure_ascii=True) + "\n")


@contextmanager
def stage_progress(title: str) -> Iterator[Callable[[str, float], None]]:
    """Give a progress callback that draws a bar on a terminal and is silent elsewhere."""
    if not err.is_terminal:
        yield lambda stage, fraction: None
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(title, total=float(len(STAGES)), stage="reading")

        def tell(stage: str, fraction: float) -> None:
            progress.update(task, completed=STAGES.index(stage) + fraction, stage=stage)

        yield tell


def tracked(items: Sequence[Item], title: str) -> Iterator[Item]:
    """Yield the items; on a terminal a bar shows how many are done, unless they are few."""
    if not err.is_terminal or len(items) < 4:
        yield from items
        return
    with Progress(TextColumn("[bold]{task.description}"), BarColumn(), TimeElapsedColumn(), console=err) as progress:
        yield from progress.track(items, description=title)
