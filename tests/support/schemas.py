"""``python schemas.py MANIFESTS``: every manifest fits the schemas of Kubernetes, strictly. Custom resources have none here."""

import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
from ruamel.yaml import YAML

KUBERNETES = "1.31"
"""The oldest version that the manifests are for."""
OWN_GROUPS = ("k8s.io", "apps", "batch", "autoscaling", "policy")


def is_known(manifest: dict[str, Any]) -> bool:
    """Whether Kubernetes itself defines the resource, and not an operator."""
    group, slash, _ = manifest["apiVersion"].partition("/")
    return not slash or group in OWN_GROUPS or group.endswith(".k8s.io")


def main() -> int:
    """Print what does not fit; returns 1 if anything does not."""
    failures = 0
    for manifest in filter(is_known, YAML(typ="safe").load_all(Path(sys.argv[1]))):
        for version in (KUBERNETES, kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                failures += 1
                sys.stderr.write(f"{manifest['kind']} {manifest['metadata']['name']} ({version}): {error.message}\n")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
