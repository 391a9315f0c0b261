"""The chart passes every check in every profile, and every check refuses what it is there for."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.checks import code, crds, images, kustomize, pods, rules, schemas
from deploy.checks.__main__ import faults
from deploy.checks.render import CHART, PROFILES, Manifest, RenderError, documents, lint, profile, render
from deploy.checks.tools import ToolError

JOBS = ("jobs.train.enabled=true", "jobs.ingest.enabled=true")
Break = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """Return what the chart makes for prod, with its jobs."""
    return render(profile("prod"), sets=JOBS)


def broken(manifests: list[Manifest], kind: str, change: Break) -> list[Manifest]:
    """Return the objects with the first of a kind changed."""
    changed = copy.deepcopy(manifests)
    change(next(each for each in changed if each["kind"] == kind))
    return changed


@pytest.mark.parametrize("name", ["", *PROFILES])
def test_every_profile_passes(name: str) -> None:
    """Helm takes its values, and no check finds anything."""
    values = (profile(name),) if name else ()
    assert lint(*values) == []
    assert faults(render(*values)) == []


def test_five_profiles_are_there() -> None:
    """Those that docs/deploy.md tells of."""
    assert PROFILES == ["air-gapped", "gpu", "laptop-kind", "prod", "staging"]


@pytest.mark.parametrize(
    "wrong",
    [
        "image.tag=latest",
        "service.gatways.min=2",
        "profile=production",
        "settings.QBITEL_PORT=1",
        "head.resources.limits.gpu=x",
    ],
)
def test_values_that_cannot_be_are_refused(wrong: str) -> None:
    """By the schema of the values, before anything is rendered."""
    with pytest.raises(RenderError):
        render(sets=(wrong,))


def test_every_value_is_in_the_schema() -> None:
    """A value that the schema does not know could not be misspelt."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    with pytest.raises(RenderError, match=r"needs state\.enabled"):
        render(sets=("state.enabled=false", "jobs.ingest.enabled=true"))


def cluster(service: dict[str, Any]) -> dict[str, Any]:
    """Return the cluster of a RayService."""
    found: dict[str, Any] = service["spec"]["rayClusterConfig"]
    return found


def container(service: dict[str, Any]) -> dict[str, Any]:
    """Return the container of its first workers."""
    found: dict[str, Any] = cluster(service)["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    return found


def environment(name: str, value: str) -> Break:
    """Return what adds a variable to a container."""
    return lambda service: container(service)["env"].append({"name": name, "value": value})


def configured(old: str, new: str) -> Break:
    """Return what changes Serve's configuration."""

    def change(service: dict[str, Any]) -> None:
        text = service["spec"]["serveConfigV2"]
        assert old in text
        service["spec"]["serveConfigV2"] = text.replace(old, new)

    return change


CORE: list[tuple[str, Break, str]] = [
    ("PodDisruptionBudget", lambda o: o["spec"].update(minAvailabel=1), "minAvailabel"),
    ("NetworkPolicy", lambda o: o["spec"].update(policyTypes="Ingress"), "policyTypes"),
    ("RayService", lambda o: container(o).update(imagePullPolice="Always"), "imagePullPolice"),
]
CUSTOM: list[tuple[str, Break, str]] = [
    ("RayService", lambda o: o["spec"].update(upgradeStratgy={}), "upgradeStratgy"),
    ("RayCluster", lambda o: o["spec"]["authOptions"].update(mode="open"), "authOptions.mode"),
    ("RayCluster", lambda o: o["spec"]["workerGroupSpecs"][0].pop("groupName"), "groupName"),
    ("HTTPRoute", lambda o: o["spec"]["rules"][0]["backendRefs"][0].pop("port"), "port"),
    ("PodMonitor", lambda o: o["spec"].update(podMetricsEndpoints="metrics"), "podMetricsEndpoints"),
    (
        "HTTPRoute",
        lambda o: o["spec"]["rules"][0].update(filters=[{"type": "RequestRedirect", "requestRedirect": {}}]),
        "RequestRedirect filter must not be used together with backendRefs",
    ),
]
OURS: list[tuple[str, Break, str]] = [
    ("RayService", lambda o: o["spec"]["upgradeStrategy"].update(type="Foo"), "upgradeStrategy.type is 'Foo'"),
    ("RayService", lambda o: o["metadata"].update(name="q" * 48), "more than 47 characters"),
    ("RayService", lambda o: o["spec"]["upgradeStrategy"].pop("clusterUpgradeOptions"), "needs a gatewayClassName"),
    ("RayService", lambda o: cluster(o).update(enableInTreeAutoscaling=False), "needs enableInTreeAutoscaling"),
    ("RayService", lambda o: o["spec"].update(serviceUnhealthySecondThreshold=9), "is deprecated"),
    ("RayService", lambda o: cluster(o)["headGroupSpec"].update(rayStartParams={}), "the head takes work"),
    ("RayService", lambda o: cluster(o).update(workerGroupSpecs=[]), "has no workers"),
    ("RayService", lambda o: cluster(o)["workerGroupSpecs"][0].update(minReplicas=99), "not minReplicas <= replicas"),
    ("RayService", lambda o: cluster(o)["workerGroupSpecs"].append(cluster(o)["workerGroupSpecs"][0]), "the same name"),
    ("RayCluster", lambda o: o["metadata"].update(annotations={"ray.io/ft-enabled": "true"}), "ray.io/ft-enabled"),
    ("RayJob", lambda o: o["spec"].update(clusterSelector={"a": "b"}), "and not both"),
    ("RayJob", lambda o: o["spec"].pop("shutdownAfterJobFinishes"), "needs shutdownAfterJobFinishes"),
    ("PodDisruptionBudget", lambda o: o["spec"].update(minAvailable="50%"), "no integer"),
    ("PodDisruptionBudget", lambda o: o["spec"].update(minAvailable=2), "could never be drained"),
    ("PodDisruptionBudget", lambda o: o["spec"]["selector"].update(matchLabels={"ray.io/cluster": "a"}), "changes"),
    ("NetworkPolicy", lambda o: o["spec"]["podSelector"].update(matchLabels={"a": "b"}), "selects no pod"),
    ("NetworkPolicy", lambda o: o["spec"]["ingress"].append({"ports": [{"port": 8404}]}), "lets others in at 8404"),
    ("NetworkPolicy", lambda o: o["spec"]["ingress"].append({}), "lets others in at every port"),
    ("PodMonitor", lambda o: o["spec"]["podMetricsEndpoints"].append({"port": "metric"}), "no pod has a port 'metric'"),
    ("HTTPRoute", lambda o: o["spec"]["rules"][0]["backendRefs"][0].update(name="x"), "leads to 'x'"),
]
PODS: list[tuple[str, Break, str]] = [
    ("RayService", lambda o: container(o)["securityContext"].update(privileged=True), "is privileged"),
    (
        "RayService",
        lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"),
        "allowPrivilegeEscalation",
    ),
    ("RayService", lambda o: container(o)["securityContext"].update(capabilities={}), "does not drop all capabilities"),
    ("RayService", lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"), "can write to its root"),
    ("RayService", lambda o: container(o)["resources"]["requests"].pop("cpu"), "no requests and limits of cpu"),
    ("RayService", lambda o: container(o)["resources"]["requests"].update(memory="1Gi"), "the request is less"),
    ("RayService", lambda o: container(o).update(image="qbitel:latest"), "no fixed tag"),
    ("RayService", lambda o: container(o).update(image="host:5000/qbitel"), "no fixed tag"),
    ("Pod", lambda o: o["spec"]["securityContext"].pop("runAsNonRoot"), "may run as root"),
    ("Pod", lambda o: o["spec"]["securityContext"].pop("seccompProfile"), "no seccompProfile"),
    ("Pod", lambda o: o["spec"].update(hostNetwork=True), "takes hostNetwork"),
    (
        "Pod",
        lambda o: o["spec"]["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        "a volume of kind hostPath",
    ),
    ("Pod", lambda o: o["spec"].pop("automountServiceAccountToken"), "whether it gets a token"),
]
CODE: list[tuple[str, Break, str]] = [
    ("RayService", configured("max_replicas", "max_replica"), "knows no such key"),
    ("RayService", configured("import_path", "import_pat"), "knows no such key"),
    ("RayService", configured("host: 0.0.0.0", "hosts: 0.0.0.0"), "knows no such key"),
    ("RayService", configured("deployments:build", "deployments:built"), "has no 'built'"),
    ("RayService", configured("qbitel.serve_app.deployments", "qbitel.serve_apps"), "there is no module"),
    ("RayService", configured("name: Gateway", "name: Gatewya"), "has no deployment 'Gatewya'"),
    ("RayService", configured("min_replicas: 2", "min_replicas: -2"), "min_replicas"),
    ("RayService", environment("QBITEL_MAX_BODY", "1"), "QBITEL_MAX_BODY is no setting"),
    ("RayService", environment("QBITEL_PORT", "many"), "setting QBITEL_PORT"),
    ("RayService", lambda o: container(o)["readinessProbe"]["httpGet"].update(path="/ready"), "answers at /ready"),
    ("RayJob", lambda o: o["spec"].update(entrypoint="qbitel trains segmenter"), "No such command 'trains'"),
    ("RayJob", lambda o: o["spec"].update(entrypoint="qbitel train segmenter --preset full"), "--preset"),
    ("RayJob", lambda o: o["spec"].update(entrypoint="sh -c true"), "is no command of qbitel"),
    ("Pod", lambda o: o["spec"]["containers"][0].update(command=["python", "-m", "qbitel.try"]), "is no module"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "said"), CORE)
def test_core_schemas_refuse(manifests: list[Manifest], kind: str, change: Break, said: str) -> None:
    """What an API server without CRDs would refuse, in objects and in templates of pods."""
    changed = broken(manifests, kind, change)
    made = [pods.as_pod(pod) for each in changed for pod in pods.pods(each)]
    core = [each for each in changed if "." not in each["apiVersion"].split("/")[0] or "k8s.io" in each["apiVersion"]]
    found = [fault for each in [*core, *made] if each["kind"] != "HTTPRoute" for fault in schemas.faults(each)]
    assert any(said in fault for fault in found), found


@pytest.mark.skipif(schemas.crds() is None, reason="needs the CRDs: make crds, or QBITEL_CRDS; CI has them")
@pytest.mark.parametrize(("kind", "change", "said"), CUSTOM)
def test_crds_refuse(manifests: list[Manifest], kind: str, change: Break, said: str) -> None:
    """What an API server with the operators' CRDs would refuse, rules in CEL included."""
    found = [fault for each in broken(manifests, kind, change) for fault in schemas.faults(each)]
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize(("kind", "change", "said"), OURS)
def test_rules_refuse(manifests: list[Manifest], kind: str, change: Break, said: str) -> None:
    """What schemas let pass and an operator, or a drain, would not."""
    found = rules.faults(broken(manifests, kind, change))
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize(("kind", "change", "said"), PODS)
def test_pods_are_refused(manifests: list[Manifest], kind: str, change: Break, said: str) -> None:
    """What the restricted standard forbids, and what we do."""
    changed = broken(manifests, kind, change)
    found = [fault for each in changed for pod in pods.pods(each) for fault in pods.faults(pod)]
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize(("kind", "change", "said"), CODE)
def test_what_the_code_does_not_know_is_refused(manifests: list[Manifest], kind: str, change: Break, said: str) -> None:
    """Keys that Serve passes over, settings, commands, modules and paths that are not there."""
    found = code.faults(broken(manifests, kind, change))
    assert any(said in fault for fault in found), found


def test_data_of_several_pods_is_one(manifests: list[Manifest]) -> None:
    """Without a file system for all, what one pod is sent another could not read."""
    found = rules.faults(render(sets=("data.persistent=false",)))
    assert any("another cannot read" in fault for fault in found), found


@pytest.mark.parametrize(
    ("line", "said"),
    [("FROM python:latest", "DL3007"), ("RUN cd /src && make", "DL3003"), ("USER root", "does not end as user")],
)
def test_images_are_refused(tmp_path: Path, line: str, said: str) -> None:
    """What hadolint knows, and another user than that of the pods; ours pass."""
    ours = sorted(images.IMAGES.glob("*.Dockerfile"))
    assert len(ours) == 2 and not any(images.faults(each) for each in ours)
    wrong = tmp_path / "wrong.Dockerfile"
    wrong.write_text(f"{ours[0].read_text()}\n{line}\n")
    assert any(said in fault for fault in images.faults(wrong))


def test_a_base_of_kustomize_is_the_chart(tmp_path: Path) -> None:
    """Every object of the profile is a file of it, but for Helm's test."""
    made = kustomize.write("prod", tmp_path)
    rendered = [each for each in render(profile("prod")) if each["kind"] != "Pod"]
    listed = documents((tmp_path / "kustomization.yaml").read_text())[0]
    assert listed["resources"] == made and len(made) == len(rendered)
    there = [documents((tmp_path / name).read_text())[0] for name in made]
    assert all(each in there for each in rendered)
    assert kustomize.main(["production", str(tmp_path)]) == 2


@pytest.mark.skipif(schemas.crds() is None, reason="needs the CRDs: make crds, or QBITEL_CRDS; CI has them")
def test_crds_are_those_that_were_pinned(tmp_path: Path) -> None:
    """Fetched from where they are, and refused where one has another byte."""
    folder = schemas.crds()
    assert folder is not None
    for line in crds.SUMS.read_text().splitlines():
        _, name, upstream = line.split()
        (tmp_path / "up" / name.split("/")[0]).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, tmp_path / "up" / name.split("/")[0] / upstream)
    bases = {name: (tmp_path / "up" / name).as_uri() for name in crds.BASES}
    assert crds.fetch(tmp_path / "down", bases) == 10
    with next((tmp_path / "up" / "kuberay").iterdir()).open("a") as file:
        file.write("\n")
    with pytest.raises(ToolError, match="is not the file that was pinned"):
        crds.fetch(tmp_path / "down", bases)
