"""
The chart without Helm: ``python -m deploy.checks.kustomize PROFILE FOLDER`` renders a profile as a base of Kustomize.

What is in the folder is made, not written: overlays beside it change what a place needs otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from .render import NAMESPACE, PROFILES, RenderError, documents, profile, text
from .tools import ToolError


def write(name: str, folder: Path) -> list[str]:
    """
    Write the objects of a profile, one file each, and the list of them; return the names of the files.

    Raises:
        RenderError: the chart makes nothing of the profile. ToolError: there is no helm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for manifest in documents(text(profile(name))):
        if "helm.sh/hook" in manifest["metadata"].get("annotations", {}):
            continue  # what helm test runs is Helm's alone
        file = f"{manifest['kind']}-{manifest['metadata']['name']}.yaml".lower()
        (folder / file).write_text(yaml.safe_dump(manifest, sort_keys=False))
        made.append(file)
    listed = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": NAMESPACE}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**listed, "resources": sorted(made)}, sort_keys=False))
    return sorted(made)


def main(arguments: Sequence[str]) -> int:
    """Write the base of a profile."""
    if len(arguments) != 2 or arguments[0] not in PROFILES:
        sys.stderr.write(f"usage: python -m deploy.checks.kustomize {'|'.join(PROFILES)} FOLDER\n")
        return 2
    try:
        made = write(arguments[0], Path(arguments[1]))
    except (RenderError, ToolError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(made)} objects in {arguments[1]}: kubectl apply -k {arguments[1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
