"""
Objects against the schemas that an API server would hold them to, unknown fields refused.

Custom resources: the CRD's structural schema as JSON Schema, list keys, and rules in CEL that need no older object.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import cel
import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

from .render import Manifest
from .tools import ROOT

KUBERNETES = "1.37"
_PLACES = (ROOT.parent / "shared" / "crds", ROOT / "build" / "crds")
_PASSED_OVER = ("nullable", "description", "default", "example")
_RANGE = {"int32": 2**31, "int64": 2**63}
_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": _NAME, "maxLength": 253}, "namespace": {"type": "string"},
        "labels": _TEXTS, "annotations": _TEXTS,
    },
    "additionalProperties": False,
}  # fmt: skip


def crds() -> Path | None:
    """Return the folder of the CRDs: ``$QBITEL_CRDS``, beside the project, or what ``make crds`` fetched; or None."""
    given = os.environ.get("QBITEL_CRDS")
    places = (Path(given),) if given else _PLACES
    return next((place for place in places if place.is_dir() and any(place.rglob("*.yaml"))), None)


def faults(manifest: Manifest) -> list[str]:
    """Return what an API server would refuse in an object; what it has no schema of is a fault, too."""
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        return []
    except kubernetes_validate.SchemaNotFoundError:
        return custom_faults(manifest)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message[:200]}"]


def custom_faults(manifest: Manifest) -> list[str]:
    """Return what an API server with the CRDs would refuse in a custom resource."""
    folder = crds()
    if folder is None:
        return []
    schema = _schemas(folder).get((manifest.get("apiVersion", ""), manifest.get("kind", "")))
    if schema is None:
        return [f"no CRD in {folder} is of {manifest.get('apiVersion')} {manifest.get('kind')}"]
    whole = copy.deepcopy(manifest)
    _fill(schema, whole)
    broken = Draft202012Validator(_strict(schema, root=True)).iter_errors(whole)
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in broken] + list(
        _rules(schema, whole, "")
    )


@lru_cache
def _schemas(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for path in sorted(folder.rglob("*.yaml")):
        for crd in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            if crd and crd.get("kind") == "CustomResourceDefinition":
                for version in crd["spec"]["versions"]:
                    name = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                    found[name] = version["schema"]["openAPIV3Schema"]
    return found


def _strict(schema: dict[str, Any], *, root: bool = False) -> dict[str, Any]:
    """Return a structural schema as JSON Schema that refuses unknown fields."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _PASSED_OVER or key.startswith("x-kubernetes"):
            continue
        made[key] = _inner(key, value)
    if schema.get("format") in _RANGE:
        made |= {"minimum": -_RANGE[schema["format"]], "maximum": _RANGE[schema["format"]] - 1}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in made and "additionalProperties" not in made and not free:
        made["additionalProperties"] = False
    if root:
        told = {"metadata": _METADATA, "apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        made["properties"] = {**made.get("properties", {}), **told}
        made["required"] = [*made.get("required", []), "metadata", "spec"]
    return made


def _inner(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _strict(each) for name, each in value.items()}
    if key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
        return _strict(value)
    return value  # also allOf and the like, which hold validations of values and no fields


def _fill(schema: dict[str, Any], value: Any) -> None:
    """Put defaults where the API server would before it evaluates rules."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name not in value and "default" in inner:
                value[name] = copy.deepcopy(inner["default"])
    for inner, each, _ in _below(schema, value):
        _fill(inner, each)


def _below(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], Any, str]]:
    """Yield what a value holds, each with its schema and its name."""
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, each in value.items():
            inner = named.get(name, others)
            if isinstance(inner, dict) and each is not None:
                yield inner, each, f".{name}"
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield schema.get("items", {}), each, f"[{index}]"


def _rules(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"] and cel.evaluate(rule["rule"], {"self": value}) is not True:
            yield f"{path}: {rule.get('message') or rule['rule']}"
    if isinstance(value, list):
        yield from _twice(schema, value, path)
    for inner, each, name in _below(schema, value):
        yield from _rules(inner, each, path + name)


def _twice(schema: dict[str, Any], values: list[Any], path: str) -> Iterator[str]:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        names = [tuple(each.get(key) for key in keys) for each in values if isinstance(each, dict)]
        if len(set(names)) < len(names):
            yield f"{path}: two entries with the same {', '.join(keys)}"
    elif kind == "set" and len({repr(each) for each in values}) < len(values):
        yield f"{path}: the same twice in a set"
