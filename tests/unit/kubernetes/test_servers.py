"""The servers in the cluster: the roles of least privilege, room for every connection, and no commit on one machine alone."""

import json
import re
from typing import Any

from stack.roles.catalogue import BY_VARIABLE, FOLDER, OPERATOR
from support.kubernetes import Manifest, container, of_kind, secret_keys

CONNECTIONS = 10
"""Of one process to PostgreSQL at most."""
ROLES = json.loads((FOLDER / "rabbitmq.json").read_text())


def users() -> dict[str, str]:
    """The users of RabbitMQ by the name of their resource."""
    names = {}
    for name, user in of_kind("User").items():
        secret = of_kind("ExternalSecret")[user["spec"]["importCredentialsSecret"]["name"]]
        names[name] = secret["spec"]["target"]["template"]["data"]["username"]
    return names


def granted(kind: str) -> list[dict[str, Any]]:
    """The permissions of one kind, as definitions of RabbitMQ write them."""
    specs: list[Manifest] = [each["spec"] for each in of_kind(kind).values()]
    return [
        {"user": users()[spec["userReference"]["name"]], "vhost": spec["vhost"], **spec["permissions"]}
        for spec in specs
    ]


def by_text(entries: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(entry, sort_keys=True) for entry in entries)


def test_rabbitmq_has_the_users_and_rights_of_least_privilege() -> None:
    assert sorted(users().values()) == sorted(user["name"] for user in ROLES["users"])
    assert by_text(granted("Permission")) == by_text(ROLES["permissions"])
    assert by_text(granted("TopicPermission")) == by_text(ROLES["topic_permissions"])
    assert not any(user["spec"].get("tags") for user in of_kind("User").values())


def test_valkey_has_the_users_and_rights_of_least_privilege() -> None:
    lines = [line.split() for line in (FOLDER / "valkey.acl").read_text().splitlines()]
    wanted = {line[1]: {word for word in line[2:] if word != "on" and word[0] != ">"} for line in lines}
    cluster = of_kind("ValkeyCluster")["valkey"]["spec"]
    found = {user["name"]: set(user["permissions"].split()) for user in cluster["users"]}

    assert found.pop(OPERATOR) == wanted[OPERATOR]
    assert found == {role.user: wanted[role.user] for role in BY_VARIABLE["REDIS_URL"].values()}
    assert all(user["enabled"] and user["passwordSecret"]["keys"] for user in cluster["users"])
    assert cluster["config"]["maxmemory-policy"] == "noeviction"


def test_the_job_of_the_roles_gets_the_password_of_every_role() -> None:
    passwords = {role.password_variable for role in BY_VARIABLE["POSTGRES_URL"].values()}
    assert secret_keys("postgres-roles") == passwords
    assert container("postgres-roles")["command"][-1] == "--file=/etc/haoma/postgres.psql"
    scripts = next(data for name, data in of_kind("ConfigMap").items() if name.startswith("postgres-roles"))["data"]
    assert scripts == {path.name: path.read_text() for path in FOLDER.glob("*.psql")}


def test_postgresql_has_room_for_every_replica() -> None:
    clients = {name.replace("-service-migrate", "-migrate") for name in BY_VARIABLE["POSTGRES_URL"]}
    scalers = of_kind("HorizontalPodAutoscaler")
    one_more = 1  # during an update
    replicas = sum(scalers[name]["spec"]["maxReplicas"] + one_more for name in clients & scalers.keys())
    allowed = int(of_kind("Cluster")["postgres"]["spec"]["postgresql"]["parameters"]["max_connections"])

    assert replicas * CONNECTIONS + len(clients - scalers.keys()) <= 0.9 * allowed


def test_a_commit_is_on_two_machines() -> None:
    spec = of_kind("Cluster")["postgres"]["spec"]
    assert spec["instances"] >= 3
    assert spec["postgresql"]["synchronous"] == {"method": "any", "number": 1}
    assert of_kind("RabbitmqCluster")["rabbitmq"]["spec"]["replicas"] == 3


def test_the_certificate_of_postgresql_is_verified() -> None:
    templates = [each["spec"]["target"].get("template", {}) for each in of_kind("ExternalSecret").values()]
    urls = [each["data"]["POSTGRES_URL"] for each in templates if "POSTGRES_URL" in each.get("data", {})]
    assert len(urls) == len(BY_VARIABLE["POSTGRES_URL"])
    assert all(re.search(r"\?sslmode=verify-full&sslrootcert=/run/secrets/postgresql/ca\.crt$", url) for url in urls)
