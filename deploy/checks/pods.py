"""The pods that objects make, and what Kubernetes' restricted standard and we ask of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .render import Manifest

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_HOST = ("hostNetwork", "hostPID", "hostIPC")


class Pod(NamedTuple):
    """A pod or a template of pods: where it stands, its labels, and its spec."""

    where: str
    labels: dict[str, str]
    spec: dict[str, Any]


def pods(manifest: Manifest) -> Iterator[Pod]:
    """Yield the pods of an object, at whatever depth it has templates."""
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    if manifest["kind"] == "Pod":
        yield Pod(name, manifest["metadata"].get("labels", {}), manifest["spec"])
    else:
        yield from _templates(manifest.get("spec"), name)


def _templates(value: Any, where: str) -> Iterator[Pod]:
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and "containers" in spec:
            yield Pod(where, value.get("metadata", {}).get("labels", {}), spec)
            return
        for key, inner in value.items():
            yield from _templates(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("groupName", index) if isinstance(inner, dict) else index
            yield from _templates(inner, f"{where}[{name}]")


def as_pod(pod: Pod) -> Manifest:
    """Return a template as a pod of its own, which schemas and scanners know."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "labels": pod.labels}, "spec": pod.spec}


def faults(pod: Pod) -> Iterator[str]:
    """Yield what a pod has that it should not, and has not that it should."""
    for found in (*_of_spec(pod.spec), *(f for each in _containers(pod.spec) for f in _of_container(each))):
        yield f"{pod.where}: {found}"


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def _of_spec(spec: dict[str, Any]) -> Iterator[str]:
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "may run as root: runAsNonRoot is not true"
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccompProfile RuntimeDefault"
    for key in _HOST:
        if spec.get(key):
            yield f"takes {key}"
    for volume in spec.get("volumes", ()):
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"has a volume of kind {', '.join(sorted(kinds))}"
    if "automountServiceAccountToken" not in spec:
        yield "does not say whether it gets a token: automountServiceAccountToken"


def _of_container(container: dict[str, Any]) -> Iterator[str]:
    name, security = container["name"], container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if "ALL" not in security.get("capabilities", {}).get("drop", ()) or security["capabilities"].get("add"):
        yield f"{name}: does not drop all capabilities"
    if security.get("privileged"):
        yield f"{name}: is privileged"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{name}: can write to its root file system"
    yield from _of_resources(name, container.get("resources", {}))
    image, _, tag = container.get("image", "").rpartition(":")
    if not image or "/" in tag or tag == "latest":
        yield f"{name}: its image has no fixed tag"


def _of_resources(name: str, resources: dict[str, Any]) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for what in ("cpu", "memory"):
        if what not in requests or what not in limits:
            yield f"{name}: says no requests and limits of {what}"
    if requests.get("memory") != limits.get("memory"):
        yield f"{name}: Ray counts on all the memory of its limit, and the request is less"
