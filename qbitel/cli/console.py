"""What the commands share with the terminal: a progress bar on work over a second, JSON where a program reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..discovery.errors import InputError
from ..discovery.stages import STAGES

Item = TypeVar("Item")

# Into a file or a pipe nothing is wrapped at the width of a terminal that is not there.
PIPED_WIDTH = 160
STDIN = "/dev/stdin"
# Names come from files and from traffic: brackets in them are no markup, and what is styled is a Text.
out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, markup=False)


class InputFile(click.Path):
    """A file to read, as the path of it; ``-`` is standard input."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(STDIN if value == "-" else value, param, ctx)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    remark("warning", text)


def remark(kind: str, text: str, *, style: str = "yellow", console: Console = err) -> None:
    """Print a line that begins with what kind of remark it is."""
    console.print(Text.assemble((kind, style), f": {text}"), soft_wrap=True)


def print_json(document: Any) -> None:
    """Print a document as one line of JSON with sorted keys."""
    sys.stdout.write(json.dumps(document, sort_keys=True, ensure_ascii=True) + "\n")


@contextmanager
def output(target: Path | None) -> Iterator[BinaryIO]:
    """
    Give the file to write to, or standard output where there is none.

    Raises:
        InputError: the file cannot be written.
    """
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with target.open("wb") as sink:
            yield sink
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", where=str(target)) from error


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


@contextmanager
def byte_progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give what takes how many bytes were done since it was told last; on a terminal it draws a bar."""
    if not err.is_terminal:
        yield lambda size: None
        return
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(title, total=float(total))
        yield lambda size: progress.advance(task, size)
