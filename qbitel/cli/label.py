"""``qbitel label``: an analyst's word on messages, in force at once and kept to train on."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import ValidationError

from ..api import load_messages, relabel
from ..discovery.analyst import AnalystLabels, MessageLabel
from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError, NotFoundError
from ..results import open_results, write_results
from .console import out, stage_progress, warn
from .places import open_storage, storage_option
from .use import folder_argument, input_argument, protocol_option


class Offsets(click.ParamType["tuple[int, ...]"]):
    """Offsets in a message, as ``1,2,4``; an empty string is none."""

    name = "offsets"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        try:
            return tuple(int(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} are no offsets: numbers with commas between, as 1,2,4", param, ctx)


@click.command("label")
@folder_argument
@input_argument
@protocol_option
@click.option("--row", "rows", type=click.IntRange(0), multiple=True, required=True, help="A message of INPUT; repeat.")
@click.option("--type", "kind", help="The name of their type: letters, digits, underscores.")
@click.option("--boundaries", type=Offsets(), help="Where their fields begin, for instance 1,2,4; 0 is left out.")
@click.option("--forget", is_flag=True, help="Take back what was said of these messages.")
@click.option("--set", "training_set", help="Keep all labels of the protocol in this training set, too.")
@storage_option
def label_command(
    folder: Path, source: Path, protocol: str | None, rows: tuple[int, ...], kind: str | None,
    boundaries: tuple[int, ...] | None, forget: bool, training_set: str | None, storage_uri: str,
) -> None:  # fmt: skip
    """
    Say of messages of INPUT what their type is called, or where their fields begin, and read the protocol again.

    Types with messages of two names are parted, types of one name joined; boundaries hold in all messages of a type up
    to where its labelled messages agree. Labels stay in FOLDER, and hold when more captures are read into it.
    """
    if forget == (kind is not None or boundaries is not None):
        raise click.UsageError("--type or --boundaries are needed, or --forget alone")
    stored = open_results(folder, protocol)
    batch, warnings = load_messages(source, stored.spec)
    for warning in warnings:
        warn(warning)
    payloads = [_payload(batch, row, source) for row in rows]
    before = stored.labels()
    labels = _without(before, payloads) if forget else _with(before, payloads, kind, boundaries)
    with stage_progress("reading again") as progress:
        found = relabel(stored, labels, progress)
    if found.result.spec.partial:
        raise InputError("; ".join(found.result.spec.partial), hint="the labels were not kept")
    write_results(stored.folder.parent, [(found.result, found.messages)], beside=True)
    stored.keep_labels(labels)
    out.print(f"{len(labels.labels)} labelled messages, version {found.result.spec.version}", highlight=False)
    for change in found.result.changes:
        out.print(f"  {change}", soft_wrap=True)
    if training_set is not None:
        _keep(training_set, stored.spec.protocol, labels, storage_uri)


def _payload(batch: MessageBatch, row: int, source: Path) -> bytes:
    if row >= len(batch):
        raise NotFoundError(f"no row {row}", where=str(source), hint=f"it holds {len(batch)} messages, from 0")
    return batch.view().payload(row)


def _with(
    labels: AnalystLabels, payloads: list[bytes], kind: str | None, boundaries: tuple[int, ...] | None
) -> AnalystLabels:
    for payload in payloads:
        try:
            labels = labels.adding(MessageLabel(payload=payload, type=kind, boundaries=boundaries))
        except ValidationError as error:
            raise InputError(error.errors()[0]["msg"].removeprefix("Value error, "), where="label") from None
    return labels


def _without(labels: AnalystLabels, payloads: list[bytes]) -> AnalystLabels:
    kept = AnalystLabels(tuple(label for label in labels.labels if label.payload not in payloads))
    if len(kept.labels) == len(labels.labels):
        raise NotFoundError("nothing was said of these messages", where="label")
    return kept


def _keep(name: str, protocol: str, labels: AnalystLabels, storage_uri: str) -> None:
    from ..train.labels import of_analyst
    from ..train.sets import TrainingSets

    data = of_analyst(labels)
    if data is None:
        out.print(f"{name}: no label with boundaries yet, nothing to train on", highlight=False)
        return
    version = TrainingSets(open_storage(storage_uri)).add(name, {f"{protocol}.parquet": data})
    out.print(f"{version.name}@{version.number}: {len(version.files)} files, digest {version.digest}", soft_wrap=True)
