"""The manifests of ``deploy/kubernetes`` as kustomize completes them, and what their network policies allow."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.tools import ROOT, manifest_tools

FOLDER = ROOT / "deploy" / "kubernetes"
PRODUCTION = FOLDER / "overlays" / "production"
WORKLOADS = ("Deployment", "Job")

Manifest = dict[str, Any]
Labels = dict[str, str]


@cache
def rendered(folder: Path = PRODUCTION) -> str:
    """What kustomize makes of a folder, as YAML. Skips the test where kubectl cannot be installed."""
    command = [str(manifest_tools() / "kubectl"), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@cache
def manifests(folder: Path = PRODUCTION) -> tuple[Manifest, ...]:
    """The manifests of a folder."""
    return tuple(YAML(typ="safe").load_all(rendered(folder)))


def of_kind(*kinds: str, folder: Path = PRODUCTION) -> dict[str, Manifest]:
    """The manifests of some kinds by name."""
    return {each["metadata"]["name"]: each for each in manifests(folder) if each["kind"] in kinds}


def workloads() -> dict[str, Manifest]:
    """The deployments and jobs of ours by name."""
    return of_kind(*WORKLOADS)


def pod(workload: str) -> Manifest:
    """The pod of a deployment or job."""
    return workloads()[workload]["spec"]["template"]["spec"]


def labels(workload: str) -> Labels:
    """The labels of its pods."""
    return workloads()[workload]["spec"]["template"]["metadata"]["labels"]


def container(workload: str) -> Manifest:
    """The only container of its pods."""
    (only,) = pod(workload)["containers"]
    return only


def settings_of(workload: str) -> dict[str, str]:
    """The variables that the container gets from its ConfigMap."""
    (source,) = container(workload)["envFrom"]
    return of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"]


def secret_keys(name: str) -> set[str]:
    """The keys of a Secret that External Secrets makes."""
    spec = of_kind("ExternalSecret")[name]["spec"]
    template = spec["target"].get("template", {})
    own = {entry["secretKey"] for entry in spec.get("data", ())} if template.get("mergePolicy") != "Replace" else set()
    return own | set(template.get("data", {}))


@dataclass(frozen=True)
class ConnectionEnd:
    """One end of a connection: pods of our namespace, of another one, or addresses outside."""

    name: str
    labels: Labels = field(default_factory=dict, compare=False)
    namespace: str = "haoma"
    named_ports: dict[str, int] = field(default_factory=dict, compare=False)

    @property
    def is_outside(self) -> bool:
        return self.namespace == ""


INTERNET = ConnectionEnd("internet", namespace="")


def matches(selector: Manifest, found: Labels) -> bool:
    """Whether a label selector chooses something with these labels."""
    return all(found.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def _is_meant(rule: Manifest, peer: ConnectionEnd) -> bool:
    if "ipBlock" in rule:
        return peer.is_outside and rule["ipBlock"]["cidr"] in {"0.0.0.0/0", "::/0"}
    namespace = rule.get("namespaceSelector")
    inside = peer.namespace == "haoma" if namespace is None else matches(namespace, {_NAME: peer.namespace})
    return not peer.is_outside and inside and matches(rule.get("podSelector", {}), peer.labels)


_NAME = "kubernetes.io/metadata.name"


def _rules(direction: str, peer: ConnectionEnd) -> Iterator[Manifest]:
    """The rules of all policies that choose these pods."""
    for policy in of_kind("NetworkPolicy").values():
        if matches(policy["spec"]["podSelector"], peer.labels):
            yield from policy["spec"].get(direction.lower(), ())


def permits(direction: str, peer: ConnectionEnd, other: ConnectionEnd, port: int, named: dict[str, int]) -> bool:
    """Whether one side permits it: ``Egress`` of the pods that connect, or ``Ingress`` of those with the port."""
    if peer.namespace != "haoma":
        return True
    side = {"Ingress": "from", "Egress": "to"}[direction]
    return any(
        port in {named.get(str(each["port"]), each["port"]) for each in rule["ports"]}
        and any(_is_meant(end, other) for end in rule[side])
        for rule in _rules(direction, peer)
    )


def may_connect(source: ConnectionEnd, target: ConnectionEnd, port: int) -> bool:
    """Whether the policies let ``source`` connect to a TCP port of ``target``: both sides have to permit it."""
    named = target.named_ports
    return permits("Egress", source, target, port, named) and permits("Ingress", target, source, port, named)


def process(workload: str) -> ConnectionEnd:
    """The pods of a deployment or job."""
    ports = {each["name"]: each["containerPort"] for each in container(workload).get("ports", ())}
    return ConnectionEnd(workload, labels(workload), named_ports=ports)


def variables_in(text: str) -> set[str]:
    """The values of the store of secrets that a template contains."""
    return set(re.findall(r"\{\{ \.([A-Z_]+) \}\}", text))
