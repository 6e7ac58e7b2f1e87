"""The three servers of a stack together: private ones, or external ones that the environment names."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from stack.folder import Folder
from stack.servers.external_server import ExternalServer
from stack.servers.postgres import Postgres
from stack.servers.private_server import PrivateServer
from stack.servers.rabbitmq import RabbitMQ
from stack.servers.valkey import Valkey

AnyServer = PrivateServer | ExternalServer


class ServerSet:
    """``postgres``, ``redis`` and ``rabbitmq`` of one stack."""

    def __init__(
        self, folder: Folder, passwords: Mapping[str, str], external: Mapping[str, str], notify: Callable[[str], None]
    ) -> None:
        """``external`` may contain POSTGRES_URL, REDIS_URL and AMQP_URL; the other servers are private."""
        self._notify = notify
        self.rabbitmq: AnyServer = _external(folder, external, "rabbitmq", "AMQP_URL", 5672) or RabbitMQ(
            folder, passwords["AMQP_PASSWORD"], role_passwords=passwords, notify=notify
        )
        self.postgres: AnyServer = _external(folder, external, "postgres", "POSTGRES_URL", 5432) or Postgres(
            folder, passwords["POSTGRES_PASSWORD"], role_passwords=passwords
        )
        self.redis: AnyServer = _external(folder, external, "redis", "REDIS_URL", 6379) or Valkey(
            folder, passwords["REDIS_PASSWORD"], role_passwords=passwords
        )

    @property
    def all(self) -> tuple[AnyServer, ...]:
        """Slowest first."""
        return (self.rabbitmq, self.postgres, self.redis)

    @property
    def environ(self) -> dict[str, str]:
        """POSTGRES_URL, REDIS_URL and AMQP_URL for an operator, who may do everything."""
        return {server.variable: server.url for server in self.all}

    def environ_of(self, process: str) -> dict[str, str]:
        """The same variables for a process of ours: those that it needs, with the rights of its role."""
        urls = {server.variable: server.url_as(process) for server in self.all}
        return {variable: url for variable, url in urls.items() if url is not None}

    def start(self, then: Callable[[], None] = lambda: None) -> None:
        """Start all at once and wait until each responds; ``then`` runs as soon as PostgreSQL does."""
        with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
            starts = [pool.submit(self._start, server) for server in (self.rabbitmq, self.redis)]
            starts.append(pool.submit(self._start, self.postgres, then))
            for start in starts:
                start.result()

    def close(self) -> None:
        """Stop the private servers, all at once."""
        with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
            list(pool.map(lambda server: server.close(), self.all))

    def _start(self, server: AnyServer, then: Callable[[], None] = lambda: None) -> None:
        server.start()
        self._notify(f"{server.name} is ready")
        then()


def _external(folder: Folder, urls: Mapping[str, str], name: str, variable: str, port: int) -> ExternalServer | None:
    url = urls.get(variable, "")
    return ExternalServer(folder, name, variable, url, port) if url else None
