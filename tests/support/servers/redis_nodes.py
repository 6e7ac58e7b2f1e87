"""Valkey as a Cluster of three masters with a replica each, and as a master with a replica that Sentinels watch."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from redis import Redis
from stack import ports
from stack.folder import Folder
from stack.process import Process
from stack.roles.catalogue import OPERATOR
from stack.servers.private_server import Variation, minimal_environment
from stack.servers.valkey import Valkey

from support.servers.server_group import ServerGroup, until

MASTERS = 3
SLOTS = 16384
NODE_TIMEOUT_MS = 1500
"""After which the other nodes agree that one is gone. A failover takes about twice as long."""

SENTINELS = 3
DOWN_AFTER_MS = 1000
SERVICE = "haoma"


class RedisCluster(ServerGroup[Valkey]):
    """Three masters, and three replicas of them."""

    name = "redis"
    variable = "REDIS_URL"
    scheme = "redis+cluster"

    def __init__(self, folder: Folder, passwords: Mapping[str, str]) -> None:
        self._password = passwords["REDIS_PASSWORD"]
        self._bus_ports = [ports.free_port() for _ in range(2 * MASTERS)]
        nodes = [
            Valkey(
                folder, self._password, role_passwords=passwords, variation=Variation(f"redis-{port}", self._of(port))
            )
            for port in self._bus_ports
        ]
        super().__init__(nodes, passwords)

    def start(self) -> None:
        """Start the nodes and form the cluster."""
        for node in self.nodes:
            node.start()
        self._form()

    def admin(self, node: Valkey) -> "Redis[Any]":
        """A client of one node that may do everything."""
        return Redis(port=node.port, username=OPERATOR, password=self._password, decode_responses=True)

    def master(self) -> Valkey:
        """A node that has slots now."""
        return next(node for node in self.nodes if node.is_alive and self.admin(node).role()[0] == "master")

    def rejoin(self) -> None:
        """Start the node that was killed, and wait until every master has a replica again."""
        for node in self.nodes:
            node.start()
        until(lambda: sum(follows(self.admin(node)) for node in self.nodes) == MASTERS)

    def _of(self, bus_port: int) -> dict[str, str]:
        return {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-port": str(bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-require-full-coverage": "no",
            **replication(self._password),
        }

    def _form(self) -> None:
        admins = [self.admin(node) for node in self.nodes]
        bounds = [SLOTS * part // MASTERS for part in range(MASTERS + 1)]
        for epoch, (admin, (first, after)) in enumerate(zip(admins, pairwise(bounds), strict=False), 1):
            admin.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
            admin.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        for node, bus_port in list(zip(self.nodes, self._bus_ports, strict=True))[1:]:
            admins[0].execute_command("CLUSTER MEET", ports.HOST, node.port, bus_port)
        until(lambda: all(known_nodes(admin) == 2 * MASTERS for admin in admins))
        for master, replica in zip(admins[:MASTERS], admins[MASTERS:], strict=True):
            replica.execute_command("CLUSTER REPLICATE", master.execute_command("CLUSTER MYID"))
        until(lambda: all(follows(admin) for admin in admins[MASTERS:]))
        until(lambda: all(state(admin) == "ok" for admin in admins))


class WatchedRedis(ServerGroup[Valkey]):
    """A master, a replica, and three Sentinels that promote the replica when they agree that the master is gone."""

    name = "redis"
    variable = "REDIS_URL"
    scheme = "redis+sentinel"

    def __init__(self, folder: Folder, passwords: Mapping[str, str]) -> None:
        self._password = passwords["REDIS_PASSWORD"]
        self._folder = folder
        nodes = [
            Valkey(
                folder,
                self._password,
                role_passwords=passwords,
                variation=Variation(f"watched-{number}", replication(self._password)),
            )
            for number in (1, 2)
        ]
        super().__init__(nodes, passwords)
        self._sentinel_ports = [ports.free_port() for _ in range(SENTINELS)]
        self._sentinels: list[Process] = []

    @property
    def places(self) -> str:
        """The Sentinels, which clients ask for the master, and the name of what they watch."""
        return ",".join(f"{ports.HOST}:{port}" for port in self._sentinel_ports) + f"/{SERVICE}/0"

    def start(self) -> None:
        """Start the two servers, let the second follow the first, and let the Sentinels watch."""
        for node in self.nodes:
            node.start()
        self.admin(self.nodes[1]).replicaof(ports.HOST, self.nodes[0].port)
        until(lambda: follows(self.admin(self.nodes[1])))
        self._sentinels = [self._sentinel(port) for port in self._sentinel_ports]
        until(lambda: all(ports.responds(port, b"PING\r\n", b"+PONG") for port in self._sentinel_ports))
        until(lambda: all(map(knows_all, self._sentinel_ports)))

    def close(self) -> None:
        """Stop the Sentinels and the servers."""
        for sentinel in self._sentinels:
            sentinel.stop()
        super().close()

    def admin(self, node: Valkey) -> "Redis[Any]":
        """A client of one node that may do everything."""
        return Redis(port=node.port, username=OPERATOR, password=self._password, decode_responses=True)

    def _sentinel(self, port: int) -> Process:
        home = self._folder.path / f"sentinel-{port}"
        home.mkdir()
        watched = f"{SERVICE} {ports.HOST} {self.nodes[0].port} {SENTINELS // 2 + 1}"
        settings = [
            f"bind {ports.HOST}",
            f"port {port}",
            f'dir "{home}"',
            f"sentinel monitor {watched}",
            f"sentinel auth-user {SERVICE} {OPERATOR}",
            f"sentinel auth-pass {SERVICE} {self._password}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 5000",
        ]
        (home / "sentinel.conf").write_text("\n".join(settings) + "\n")
        program = self.nodes[0].process.command[0]
        command = (program, home / "sentinel.conf", "--sentinel")
        process = Process(home.name, self._folder, command, env=minimal_environment(), cwd=home)
        process.spawn()
        return process


def replication(password: str) -> dict[str, str]:
    """How a node logs in to its master: the default user is off."""
    return {"masteruser": OPERATOR, "masterauth": password}


def known_nodes(admin: "Redis[Any]") -> int:
    return int(info(admin)["cluster_known_nodes"])


def state(admin: "Redis[Any]") -> str:
    return info(admin)["cluster_state"]


def info(admin: "Redis[Any]") -> dict[str, str]:
    text = admin.execute_command("CLUSTER INFO")
    if isinstance(text, dict):
        return text
    return dict(line.split(":", 1) for line in str(text).split("\r\n") if ":" in line)


def follows(admin: "Redis[Any]") -> bool:
    """Whether a node is a replica that has what its master has."""
    role = admin.role()
    return role[0] == "slave" and role[3] == "connected"


def is_copied(admin: "Redis[Any]") -> bool:
    """Whether the replica of a master has acknowledged all that the master has."""
    replication_info = admin.info("replication")
    return replication_info["connected_slaves"] == 1 and (
        replication_info["slave0"]["offset"] == replication_info["master_repl_offset"]
    )


def knows_all(port: int) -> bool:
    """Whether a Sentinel has found the others and the replica."""
    found = Redis(port=port, decode_responses=True).sentinel_masters()[SERVICE]
    return (found["num-other-sentinels"], found["num-slaves"]) == (SENTINELS - 1, 1)
