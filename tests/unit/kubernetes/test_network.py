"""The network policies: who may connect to whom is what tokens, roles and the networks of compose say, and nothing more."""

import re
from itertools import product

from architecture.tree import ROOT
from ruamel.yaml import YAML
from stack.roles.catalogue import BY_VARIABLE
from support.kubernetes import INTERNET, ConnectionEnd, labels, may_connect, of_kind, permits, process, workloads

from auth_service.settings import AuthSettings
from contacts_service.settings import ContactsSettings
from shared.process.settings import Settings
from sms_service.settings import SmsSettings

PORTS = {"gateway": 8080, "auth-service": 8081, "sms-service": 8082, "contacts-service": 8083, "operator-api": 8085}
CALLERS = {"gateway": "gateway", "operator": "operator-api"}
"""The processes that are no service, by the word in the names of their tokens."""
SERVERS = {
    "POSTGRES_URL": (ConnectionEnd("postgresql", {"cnpg.io/cluster": "postgres"}), 5432),
    "AMQP_URL": (ConnectionEnd("rabbitmq", {"app.kubernetes.io/name": "rabbitmq"}), 5672),
    "REDIS_URL": (ConnectionEnd("valkey", {"valkey.io/cluster": "valkey"}), 6379),
}
PROXY = ConnectionEnd("proxy", {"app.kubernetes.io/name": "ingress-nginx"}, "ingress-nginx")
PROMETHEUS = ConnectionEnd("prometheus", {"app.kubernetes.io/name": "prometheus"}, "monitoring")
STRANGER = ConnectionEnd("stranger", {"app.kubernetes.io/name": "gateway"}, "default")
SERVICES: dict[str, type[Settings]] = {
    "auth-service": AuthSettings,
    "sms-service": SmsSettings,
    "contacts-service": ContactsSettings,
}


def callers() -> set[tuple[str, str]]:
    """Who has a token for whom. The worker's is for the inbox, which production does not have."""
    found = set()
    for service, model in SERVICES.items():
        for name in model.model_fields:
            if token := re.fullmatch(r"(\w+)_to_(auth|sms|contacts)_token", name):
                caller = CALLERS.get(token[1], f"{token[1]}-service")
                if f"{token[2]}-service" == service:
                    found.add((caller, service))
    return found


def test_a_process_reaches_the_services_for_which_it_has_a_token() -> None:
    allowed = {
        (source, target)
        for source, target in product(workloads(), PORTS)
        if may_connect(process(source), process(target), PORTS[target])
    }
    assert allowed == callers()


def test_neither_side_alone_is_wider() -> None:
    pairs = [(process(source), process(target), PORTS[target]) for source, target in product(workloads(), PORTS)]
    assert [
        (source.name, target.name)
        for source, target, port in pairs
        if permits("Egress", source, target, port, {}) != permits("Ingress", target, source, port, {})
    ] == []


def test_a_process_reaches_the_servers_on_which_it_has_a_role() -> None:
    roles = {
        (name.replace("-service-migrate", "-migrate"), variable)
        for variable, roles in BY_VARIABLE.items()
        for name in roles
    }
    allowed = {
        (source, variable)
        for source, (variable, (server, port)) in product(workloads(), SERVERS.items())
        if may_connect(process(source), server, port)
    }
    assert allowed == roles | {("postgres-roles", "POSTGRES_URL")}


def test_only_the_worker_reaches_the_internet() -> None:
    assert {name for name in workloads() if may_connect(process(name), INTERNET, 443)} == {"sms-worker"}
    assert not any(may_connect(server, INTERNET, 443) for server, _ in SERVERS.values())


def test_only_the_gateway_is_reached_from_outside_and_by_its_proxy_alone() -> None:
    assert {name for name in PORTS if may_connect(PROXY, process(name), PORTS[name])} == {"gateway"}
    assert not any(may_connect(STRANGER, process(name), port) for name, port in PORTS.items())
    assert not any(may_connect(INTERNET, process(name), port) for name, port in PORTS.items())
    assert not any(may_connect(STRANGER, server, port) for server, port in SERVERS.values())


def test_the_networks_of_compose_open_the_same_ways() -> None:
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    outside = {name for name, spec in services.items() if {"front", "outside"} & set(spec.get("networks", ()))}
    assert {"gateway", "sms-worker"} <= outside
    assert not outside & {
        "auth-service", "sms-service", "contacts-service", "operator-api", "postgres", "rabbitmq", "valkey",
    }  # fmt: skip


def test_the_edge_of_compose_has_no_way_to_the_operator_api() -> None:
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    assert not set(services["edge"]["networks"]) & set(services["operator-api"]["networks"])


def test_prometheus_reaches_the_monitoring_ports_and_no_other() -> None:
    for name in (*PORTS, "sms-worker"):
        ports = process(name).named_ports
        assert may_connect(PROMETHEUS, process(name), ports["monitoring"])
        assert not may_connect(PROMETHEUS, process(name), ports.get("http", 0))


def test_no_one_else_reaches_a_monitoring_port() -> None:
    others = [*map(process, workloads()), PROXY, STRANGER, INTERNET]
    for name in (*PORTS, "sms-worker"):
        port = process(name).named_ports["monitoring"]
        assert [each.name for each in others if may_connect(each, process(name), port)] == []


def test_nothing_is_allowed_by_default() -> None:
    assert of_kind("NetworkPolicy")["nothing-by-default"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    assert all(labels(name)["app.kubernetes.io/part-of"] == "haoma" for name in workloads() if name != "postgres-roles")
