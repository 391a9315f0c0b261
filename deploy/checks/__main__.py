"""Check the chart in all of its profiles; print a line for each, and what is wrong; exit 1 where something is."""

from __future__ import annotations

import sys
from time import perf_counter

from . import code, images, pods, rules, schemas
from .render import PROFILES, Manifest, RenderError, lint, profile, render
from .tools import ToolError


def faults(manifests: list[Manifest]) -> list[str]:
    """Return what all checks find in objects that are installed together."""
    found = [f"{each['kind']}/{each['metadata']['name']}: {f}" for each in manifests for f in schemas.faults(each)]
    made = [pod for each in manifests for pod in pods.pods(each)]
    found += [f"{pod.where}: {fault}" for pod in made for fault in schemas.faults(pods.as_pod(pod))]
    found += [fault for pod in made for fault in pods.faults(pod)]
    return [*found, *rules.faults(manifests), *code.faults(manifests)]


def main() -> int:
    """Check every profile."""
    begun, broken = perf_counter(), 0
    folder = schemas.crds()
    if folder is None:
        sys.stdout.write("custom resources are NOT held to their CRDs: none are here (make crds, or QBITEL_CRDS)\n")
    for name in ("", *PROFILES):
        values = (profile(name),) if name else ()
        # Jobs are off by default: here they are on, so that they are checked, too.
        sets = ("jobs.train.enabled=true", "jobs.ingest.enabled=true") if name in ("", "prod") else ()
        try:
            manifests = render(*values, sets=sets)
            found = lint(*values, sets=sets) + faults(manifests)
        except (RenderError, ToolError) as error:
            manifests, found = [], [str(error)]
        broken += bool(found)
        sys.stdout.write(f"{name or 'defaults':<12} {len(manifests):>3} objects  {'FAIL' if found else 'ok'}\n")
        sys.stdout.writelines(f"  {line}\n" for line in found)
    for dockerfile in sorted(images.IMAGES.glob("*.Dockerfile")):
        found = images.faults(dockerfile)
        broken += bool(found)
        sys.stdout.write(f"{dockerfile.name:<24}  {'FAIL' if found else 'ok'}\n")
        sys.stdout.writelines(f"  {line}\n" for line in found)
    sys.stdout.write(f"{perf_counter() - begun:.1f} s\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
