"""What schemas let pass: the rules of KubeRay's own validation, and those that keep our parts together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .pods import Pod, pods
from .render import Manifest

LONGEST_NAME = 47
UPGRADES = ("NewCluster", "NewClusterWithIncrementalUpgrade", "None")
DEPRECATED = ("serviceUnhealthySecondThreshold", "deploymentUnhealthySecondThreshold")
CHANGING = ("ray.io/cluster", "ray.io/group", "ray.io/node-type", "ray.io/identifier")
CLOSED = (8404, 9101)
"""HAProxy's ports of statistics and metrics, which ask nobody who they are."""


def faults(manifests: list[Manifest]) -> list[str]:
    """Return what is wrong with objects that are installed together."""
    made = [pod for each in manifests for pod in pods(each)]
    found: list[str] = []
    for each in manifests:
        name = f"{each['kind']}/{each['metadata']['name']}"
        found += (f"{name}: {fault}" for fault in _of_object(each, made, manifests))
    return found


def _of_object(manifest: Manifest, made: list[Pod], others: list[Manifest]) -> Iterator[str]:
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "RayService":
            yield from _service(manifest["metadata"]["name"], spec)
            yield from _cluster(spec["rayClusterConfig"])
        case "RayCluster":
            yield from _cluster(spec)
        case "RayJob":
            yield from _job(spec)
        case "PodDisruptionBudget":
            yield from _disruption(spec, made, others)
        case "NetworkPolicy":
            yield from _network(spec, made)
        case "PodMonitor":
            yield from _monitor(spec, made)
        case "HTTPRoute":
            yield from _route(spec, others)
    if "ray.io/ft-enabled" in manifest["metadata"].get("annotations", {}):
        yield "has the annotation ray.io/ft-enabled beside gcsFaultToleranceOptions"


def _service(name: str, spec: dict[str, Any]) -> Iterator[str]:
    if len(name) > LONGEST_NAME:
        yield f"its name has more than {LONGEST_NAME} characters"
    upgrade = spec.get("upgradeStrategy", {})
    if upgrade.get("type") not in UPGRADES:
        yield f"upgradeStrategy.type is '{upgrade.get('type')}', none of {', '.join(UPGRADES)}"
    if upgrade.get("type") == "NewClusterWithIncrementalUpgrade":
        if not upgrade.get("clusterUpgradeOptions", {}).get("gatewayClassName"):
            yield "an upgrade by steps needs a gatewayClassName"
        if not spec["rayClusterConfig"].get("enableInTreeAutoscaling"):
            yield "an upgrade by steps needs enableInTreeAutoscaling"
    for key in DEPRECATED:
        if key in spec:
            yield f"{key} is deprecated"


def _cluster(spec: dict[str, Any]) -> Iterator[str]:
    if str(spec["headGroupSpec"].get("rayStartParams", {}).get("num-cpus")) != "0":
        yield "the head takes work: its num-cpus is not 0"
    groups = spec.get("workerGroupSpecs", [])
    if not groups:
        yield "has no workers"
    for group in groups:
        least, begun, most = (group.get(key) for key in ("minReplicas", "replicas", "maxReplicas"))
        if least is None or begun is None or most is None or not least <= begun <= most:
            yield f"group {group['groupName']}: not minReplicas <= replicas <= maxReplicas"
        yield from _apart(group, most or 0)
    names = [group["groupName"] for group in groups]
    if len(set(names)) < len(names):
        yield "two groups have the same name"


def _apart(group: dict[str, Any], most: int) -> Iterator[str]:
    volumes = group["template"]["spec"].get("volumes", ())
    own = any(volume["name"] == "data" and "emptyDir" in volume for volume in volumes)
    if own and most > 1:
        yield f"group {group['groupName']}: what one pod is sent, another cannot read: data is an emptyDir of each"


def _job(spec: dict[str, Any]) -> Iterator[str]:
    chosen, own = "clusterSelector" in spec, "rayClusterSpec" in spec
    if chosen == own:
        yield "needs a cluster of its own or one that is there, and not both"
    if own:
        yield from _cluster(spec["rayClusterSpec"])
    if chosen and (spec.get("backoffLimit") or spec.get("suspend") or spec.get("shutdownAfterJobFinishes")):
        yield "in a cluster that is there, it can neither be repeated, nor wait, nor end the cluster"
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"


def _selected(selector: dict[str, Any], made: list[Pod]) -> list[Pod]:
    wanted = selector.get("matchLabels", {}).items()
    return [pod for pod in made if wanted <= pod.labels.items()]


def _lasting(selector: dict[str, Any], made: list[Pod]) -> Iterator[str]:
    labels = selector.get("matchLabels", {})
    if broken := [label for label in CHANGING if label in labels]:
        yield f"selects by {', '.join(broken)}, which an upgrade changes"
    elif not _selected(selector, made):
        yield "selects no pod of the chart"


def _disruption(spec: dict[str, Any], made: list[Pod], others: list[Manifest]) -> Iterator[str]:
    yield from _lasting(spec["selector"], made)
    least = spec.get("minAvailable")
    if not isinstance(least, int):
        yield "minAvailable is no integer: a RayCluster has no scale that a share could be taken of"
        return
    for pod in _selected(spec["selector"], made):
        there = [group for each in others for group in _groups(each) if group["template"]["spec"] is pod.spec]
        if not there or there[0]["minReplicas"] <= least:
            yield f"lets no pod of {pod.where} go: a node could never be drained"


def _groups(manifest: Manifest) -> list[dict[str, Any]]:
    spec = manifest.get("spec", {})
    inner = spec.get("rayClusterConfig") or spec.get("rayClusterSpec") or spec
    groups: list[dict[str, Any]] = inner.get("workerGroupSpecs", [])
    return groups


def _network(spec: dict[str, Any], made: list[Pod]) -> Iterator[str]:
    yield from _lasting(spec["podSelector"], made)
    for rule in spec.get("ingress", ()):
        inside = all("namespaceSelector" not in each and each.get("podSelector") for each in rule.get("from", [{}]))
        ports = [port.get("port") for port in rule.get("ports", ())]
        if not inside and (not ports or set(ports) & set(CLOSED)):
            yield f"lets others in at {', '.join(map(str, ports)) or 'every port'}"


def _monitor(spec: dict[str, Any], made: list[Pod]) -> Iterator[str]:
    yield from _lasting(spec["selector"], made)
    there = {port["name"] for pod in made for each in pod.spec["containers"] for port in each.get("ports", ())}
    for endpoint in spec.get("podMetricsEndpoints", ()):
        if endpoint.get("port") not in there:
            yield f"no pod has a port '{endpoint.get('port')}'"


def _route(spec: dict[str, Any], others: list[Manifest]) -> Iterator[str]:
    services = {f"{each['metadata']['name']}-serve-svc" for each in others if each["kind"] == "RayService"}
    for rule in spec.get("rules", ()):
        for backend in rule.get("backendRefs", ()):
            if backend["name"] not in services:
                yield f"leads to '{backend['name']}', which no RayService makes"
