"""The three servers together: private ones, or those the environment names."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from stack.folder import Folder
from stack.postgres import Postgres
from stack.rabbitmq import RabbitMQ
from stack.server import NamedServer, PrivateServer
from stack.valkey import Valkey

AnyServer = PrivateServer | NamedServer


class Servers:
    """``postgres``, ``redis`` and ``rabbitmq`` of one stack."""

    def __init__(
        self, folder: Folder, passwords: Mapping[str, str], named: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """``named`` may hold POSTGRES_URL, REDIS_URL and AMQP_URL; the others become private servers."""
        self._say = say
        self.rabbitmq: AnyServer = _named(folder, named, "rabbitmq", "AMQP_URL", 5672) or RabbitMQ(
            folder, passwords["AMQP_PASSWORD"], say=say
        )
        self.postgres: AnyServer = _named(folder, named, "postgres", "POSTGRES_URL", 5432) or Postgres(
            folder, passwords["POSTGRES_PASSWORD"]
        )
        self.redis: AnyServer = _named(folder, named, "redis", "REDIS_URL", 6379) or Valkey(
            folder, passwords["REDIS_PASSWORD"]
        )

    @property
    def all(self) -> tuple[AnyServer, ...]:
        """Slowest first."""
        return (self.rabbitmq, self.postgres, self.redis)

    @property
    def environ(self) -> dict[str, str]:
        """POSTGRES_URL, REDIS_URL and AMQP_URL."""
        return {server.variable: server.url for server in self.all}

    def start(self, then: Callable[[], None] = lambda: None) -> None:
        """Start all at once and wait until each answers; ``then`` runs as soon as PostgreSQL does."""
        with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
            waits = [pool.submit(self._start, server) for server in (self.rabbitmq, self.redis)]
            waits.append(pool.submit(self._start, self.postgres, then))
            for wait in waits:
                wait.result()

    def close(self) -> None:
        """Stop all that are ours, at once."""
        with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
            list(pool.map(lambda server: server.close(), self.all))

    def _start(self, server: AnyServer, then: Callable[[], None] = lambda: None) -> None:
        server.start()
        self._say(f"{server.name} answers")
        then()


def _named(folder: Folder, named: Mapping[str, str], name: str, variable: str, port: int) -> NamedServer | None:
    url = named.get(variable, "")
    return NamedServer(folder, name, variable, url, port) if url else None
