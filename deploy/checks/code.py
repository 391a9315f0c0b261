"""The chart against the code that it runs: Serve's configuration, settings, commands, probes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast
from unittest import mock

import click
import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import DeploymentSchema, HTTPOptionsSchema, ServeApplicationSchema, ServeDeploySchema

from qbitel.cli import LazyGroup, cli
from qbitel.cluster.settings import ServiceSettings, load_settings
from qbitel.discovery.errors import QbitelError
from qbitel.serve_app.guard.operations import OPERATIONS

from .pods import Pod, pods
from .render import Manifest

_PREFIX = "QBITEL_"
_PUBLIC = {each.path for each in OPERATIONS if each.method == "GET" and each.role is None}


def faults(manifests: list[Manifest]) -> list[str]:
    """Return where objects say something that the code does not know."""
    found: list[str] = []
    for each in manifests:
        name, spec = f"{each['kind']}/{each['metadata']['name']}", each.get("spec", {})
        if "serveConfigV2" in spec:
            found += (f"{name}: serveConfigV2: {fault}" for fault in serve_config(spec["serveConfigV2"]))
        if each["kind"] == "RayJob":
            found += (f"{name}: {fault}" for fault in command(shlex.split(spec["entrypoint"])))
        found += (f"{pod.where}: {fault}" for pod in pods(each) for fault in _of_pod(pod))
    return found


def serve_config(text: str) -> list[str]:
    """Return what Ray Serve would refuse or, worse, pass over in a configuration."""
    given = yaml.safe_load(text)
    found = list(_unknown(ServeDeploySchema, given, ""))
    found += _unknown(HTTPOptionsSchema, given.get("http_options", {}), "http_options")
    for index, application in enumerate(given.get("applications", [])):
        found += _application(application, f"applications[{index}]")
    try:
        ServeDeploySchema.model_validate(given)
    except ValidationError as error:
        found += (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return found


def _application(given: dict[str, Any], where: str) -> Iterator[str]:
    yield from _unknown(ServeApplicationSchema, given, where)
    module, _, builder = given.get("import_path", "").partition(":")
    try:
        there: Any = import_module(module)
    except (ImportError, ValueError):
        yield f"{where}: there is no module '{module}'"
        return
    if not callable(getattr(there, builder, None)):
        yield f"{where}: {module} has no '{builder}'"
    for index, deployment in enumerate(given.get("deployments", [])):
        place = f"{where}.deployments[{index}]"
        yield from _unknown(DeploymentSchema, deployment, place)
        yield from _scaling(deployment.get("autoscaling_config"), f"{place}.autoscaling_config")
        if not hasattr(there, deployment.get("name", "")):
            yield f"{place}: {module} has no deployment '{deployment.get('name')}'"


def _scaling(given: dict[str, Any] | None, where: str) -> Iterator[str]:
    if given is not None:
        yield from _unknown(AutoscalingConfig, given, where)
        try:
            AutoscalingConfig.model_validate(given)
        except ValidationError as error:
            yield from (f"{where}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())


def _unknown(model: type[BaseModel], given: dict[str, Any], where: str) -> Iterator[str]:
    for key in given:
        if key not in model.model_fields:
            yield f"{where}.{key}: Serve knows no such key and would pass over it"


def _of_pod(pod: Pod) -> Iterator[str]:
    for container in pod.spec["containers"]:
        values = {each["name"]: each.get("value", "") for each in container.get("env", ())}
        settings = {name: value for name, value in values.items() if name.startswith(_PREFIX)}
        for name in settings:
            if name.removeprefix(_PREFIX).lower() not in ServiceSettings.model_fields:
                yield f"{name} is no setting"
        try:
            with _environment(settings):
                load_settings(audit_key="0" * 16, secrets_dir=None)
        except QbitelError as error:
            yield str(error)
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            path = container.get(probe, {}).get("httpGet", {}).get("path", "/healthz")
            if path not in _PUBLIC:
                yield f"{probe}: nobody answers at {path} without a key"
        if container.get("command", [])[:2] == ["python", "-m"]:
            yield from _module(container["command"][2])


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    with mock.patch.dict(os.environ, {**others, **values}, clear=True):
        yield


def _module(name: str) -> Iterator[str]:
    try:
        import_module(name)
    except ImportError:
        yield f"there is no module '{name}'"


def command(words: list[str]) -> list[str]:
    """Return why a command line is none of ours; nothing of it is run."""
    if words[:1] != ["qbitel"]:
        return [f"'{' '.join(words)[:80]}' is no command of qbitel"]
    try:
        _parse(cast(click.Group, cli), words[1:])
    except click.ClickException as error:
        return [f"'{' '.join(words)[:80]}': {error.format_message()}"]
    return []


def _parse(within: LazyGroup | click.Group, words: list[str]) -> None:
    name, found, rest = within.resolve_command(click.Context(within), words)
    if isinstance(found, click.Group):
        _parse(found, rest)
    elif found is not None:
        found.make_context(name, rest)
