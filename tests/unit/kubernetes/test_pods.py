"""The pods: few rights, probes that fit how a process starts and ends, limits, replicas that are spread."""

import pytest
from support.kubernetes import FOLDER, PRODUCTION, container, manifests, of_kind, pod, settings_of, workloads

from shared.process.startup import STARTUP_TIMEOUT_SECONDS
from shared.process.version import VERSION
from shared.process.web import DRAIN_SECONDS

SCALED = ("gateway", "auth-service", "sms-service", "sms-worker", "contacts-service")
WORKLOADS = (*SCALED, "operator-api")
JOBS = ("auth-migrate", "sms-migrate", "contacts-migrate", "postgres-roles")
PROCESSES = pytest.mark.parametrize("name", WORKLOADS)
PODS = pytest.mark.parametrize("name", [*WORKLOADS, *JOBS])


def test_every_process_and_migration_has_its_workload() -> None:
    assert set(workloads()) == {*WORKLOADS, *JOBS}


@PODS
def test_a_pod_has_no_right_that_it_does_not_need(name: str) -> None:
    rights, process = pod(name)["securityContext"], container(name)["securityContext"]

    assert rights["runAsNonRoot"] is True
    assert rights["runAsUser"] == rights["runAsGroup"] == 10001
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert process == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(name).keys()


@PODS
def test_a_pod_has_requests_and_limits(name: str) -> None:
    resources = container(name)["resources"]
    assert {"cpu", "memory"} == resources["requests"].keys() == resources["limits"].keys()


@PODS
def test_the_cluster_adds_no_variable_that_is_a_setting(name: str) -> None:
    """A service link would set ``GATEWAY_PORT=tcp://10.0.0.1:8080`` in every pod."""
    assert pod(name)["enableServiceLinks"] is False


def test_the_namespace_refuses_pods_with_more_rights() -> None:
    assert of_kind("Namespace")["haoma"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@PODS
def test_no_image_is_a_moving_tag(name: str) -> None:
    _, tag = container(name)["image"].rsplit(":", 1)
    assert tag not in {"latest", ""}


@PROCESSES
def test_the_images_are_those_of_this_release(name: str) -> None:
    assert container(name)["image"].endswith(f":{VERSION}")


@PROCESSES
def test_a_pod_may_wait_for_its_servers_as_long_as_the_process_does(name: str) -> None:
    probe = container(name)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= STARTUP_TIMEOUT_SECONDS + 10


@PROCESSES
def test_a_pod_is_probed_on_the_port_that_no_one_outside_reaches(name: str) -> None:
    paths = {probe: container(name)[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": {"path": "/livez", "port": "monitoring"},
        "livenessProbe": {"path": "/livez", "port": "monitoring"},
        "readinessProbe": {"path": "/readyz", "port": "monitoring"},
    }


@PROCESSES
def test_a_pod_ends_after_its_callers_know_and_before_it_is_killed(name: str) -> None:
    before_signal = container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
    withdrawn = float(settings_of(name)["WITHDRAW_SECONDS"])
    probe = container(name)["readinessProbe"]

    assert before_signal >= 5
    assert withdrawn >= 1.5 * probe["periodSeconds"]  # a probe sees that readiness fails before the port closes
    assert before_signal + withdrawn + DRAIN_SECONDS + 10 <= pod(name)["terminationGracePeriodSeconds"]


@PROCESSES
def test_replicas_are_spread_over_zones_and_nodes(name: str) -> None:
    constraints = pod(name)["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all("app.kubernetes.io/name" in each["matchLabelKeys"] for each in constraints)


@pytest.mark.parametrize("name", SCALED)
def test_a_process_scales(name: str) -> None:
    scaler = of_kind("HorizontalPodAutoscaler")[name]["spec"]

    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in workloads()[name]["spec"]  # an update would undo what the scaler decided


def test_operators_are_few_so_their_api_does_not_scale() -> None:
    assert "operator-api" not in of_kind("HorizontalPodAutoscaler")
    assert workloads()["operator-api"]["spec"]["replicas"] == 2


@PROCESSES
def test_a_drained_node_and_an_update_leave_a_replica(name: str) -> None:
    budget = of_kind("PodDisruptionBudget")[name]["spec"]

    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == workloads()[name]["spec"]["selector"]
    assert workloads()[name]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_worker_scales_with_its_queue() -> None:
    metrics = of_kind("HorizontalPodAutoscaler")["sms-worker"]["spec"]["metrics"]
    external = next(each["external"]["metric"] for each in metrics if each["type"] == "External")
    assert external["selector"]["matchLabels"] == {"queue": "sms.send"}


@pytest.mark.parametrize("name", ["auth-service", "sms-service", "contacts-service"])
def test_callers_see_every_replica_of_a_service(name: str) -> None:
    service = of_kind("Service")[name]["spec"]
    assert service["clusterIP"] == "None"
    assert service["selector"] == workloads()[name]["spec"]["selector"]["matchLabels"]


def test_the_base_is_complete_without_an_overlay() -> None:
    base = {(each["kind"], each["metadata"]["name"]) for each in manifests(FOLDER / "base")}
    ours = {(each["kind"], each["metadata"]["name"]) for each in manifests(PRODUCTION)}
    assert {each for each in base if each[0] != "ConfigMap"} <= ours
