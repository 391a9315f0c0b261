"""``qbitel models``: versions of trained networks, and the aliases that say which is in use."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from .console import out, print_json
from .places import open_registry, open_storage, storage_option


@click.group("models")
def models_command() -> None:
    """List, register and alias versions of trained networks."""


@models_command.command("list")
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with lineage.")
@storage_option
def list_command(model: str | None, as_json: bool, storage_uri: str) -> None:
    """List the versions of MODEL, or of all models, the newest first."""
    versions = open_registry(storage_uri).versions(model)
    if as_json:
        print_json([{**asdict(v), "registered": v.registered.isoformat()} for v in versions])
        return
    table = Table("version", "aliases", "metrics", "run", "data", "code", "weights", box=None)
    for v in versions:
        metrics = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in v.metrics.items())
        code = v.lineage.get("code", {})
        table.add_row(
            f"{v.model}@{v.number}", ", ".join(v.aliases), metrics, str(v.lineage.get("run", "")),
            str(v.lineage.get("data", ""))[:12], str(code.get("commit") or code.get("sources", "")), v.digest[:12],
        )  # fmt: skip
    out.print(table)


@models_command.command("register")
@click.argument("run")
@click.option("--model", help="Name of the model; that of the run's task if not given.")
@click.option("--alias", help="Let this alias stand for the new version (champion, challenger, …).")
@storage_option
def register_command(run: str, model: str | None, alias: str | None, storage_uri: str) -> None:
    """Make the weights of RUN the next version of a model, with the lineage of the run."""
    from ..train.register import register_run
    from ..train.runs import Run

    registry = open_registry(storage_uri)
    version = register_run(registry, Run(open_storage(storage_uri), run), model)
    if alias:
        version = registry.alias(f"{version.model}@{version.number}", alias)
    shown = f" ({', '.join(version.aliases)})" if version.aliases else ""
    out.print(f"{version.model}@{version.number}{shown} sha256 {version.digest}", highlight=False, soft_wrap=True)


@models_command.command("alias")
@click.argument("version")
@click.argument("name")
@click.option("--drop", is_flag=True, help="Let the alias stand for nothing.")
@storage_option
def alias_command(version: str, name: str, drop: bool, storage_uri: str) -> None:
    """Let alias NAME stand for VERSION, as in: qbitel models alias segmenter@3 champion."""
    registry = open_registry(storage_uri)
    if drop:
        registry.drop_alias(version.partition("@")[0], name)
        return
    found = registry.alias(version, name)
    out.print(f"{found.model}@{found.number}: {', '.join(found.aliases)}", highlight=False)


@models_command.command("get")
@click.argument("version")
@click.option("--out", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@storage_option
def get_command(version: str, path: Path, storage_uri: str) -> None:
    """Write the weights of VERSION, checked against their digest, to a file."""
    path.write_bytes(open_registry(storage_uri).weights(version))
