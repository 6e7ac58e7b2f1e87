"""Three RabbitMQ nodes: a queue is on all of them, and an acknowledged message on two at least."""

import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stack.folder import Folder
from stack.servers.private_server import Variation
from stack.servers.rabbitmq import RabbitMQ, script

from support.servers.server_group import ServerGroup, until

NODES = 3
LISTING = ("--quiet", "list_queues", "name", "leader", "online", "--formatter", "json")


class RabbitCluster(ServerGroup[RabbitMQ]):
    """Three nodes. The others join the first, which starts before them."""

    name = "rabbitmq"
    variable = "AMQP_URL"
    scheme = "amqp"

    def __init__(self, folder: Folder, passwords: Mapping[str, str]) -> None:
        names = [f"rabbitmq-{number}" for number in range(1, NODES + 1)]
        discovery = {
            "cluster_formation.peer_discovery_backend": "classic_config",
            "cluster_partition_handling": "pause_minority",
            **{
                f"cluster_formation.classic_config.nodes.{number}": f"{name}@localhost"
                for number, name in enumerate(names, 1)
            },
        }
        nodes: list[RabbitMQ] = []
        for name in names:
            nodes.append(
                RabbitMQ(
                    folder,
                    passwords["AMQP_PASSWORD"],
                    role_passwords=passwords,
                    variation=Variation(name, discovery),
                    neighbour=nodes[0] if nodes else None,
                )
            )
        super().__init__(nodes, passwords)

    def start(self) -> None:
        """Start the first node, then the others, and wait until each has joined."""
        self.nodes[0].start()
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(RabbitMQ.start, self.nodes[1:]))
        until(lambda: len(self._running()) == len(self.nodes))

    def leader(self, queue: str) -> RabbitMQ:
        """The node that leads a queue."""
        led_by = next(row["leader"] for row in self._queues() if row["name"] == queue)
        return next(node for node in self.nodes if node.node == led_by)

    def rejoin(self) -> None:
        """Start the node that was killed, and wait until it has its copy of every queue."""
        for node in self.nodes:
            node.start()
        until(lambda: all(len(row["online"]) == len(self.nodes) for row in self._queues()))

    def _queues(self) -> list[dict[str, Any]]:
        return list(json.loads(self._control(*LISTING)))

    def _running(self) -> list[str]:
        return list(json.loads(self._control("cluster_status", "--formatter", "json"))["running_nodes"])

    def _control(self, *words: str) -> str:
        node = next(node for node in self.nodes if node.is_alive)
        command = [script().with_name("rabbitmqctl"), "--node", node.node, *words]
        return subprocess.run(
            command, env=dict(node.process.env), cwd=node.home, check=True, capture_output=True, text=True
        ).stdout
