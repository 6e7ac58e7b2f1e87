"""The images, built, and the system that runs from them: two replicas of each process, on this machine's engine."""

import json
import os
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from architecture.tree import ROOT, SERVICES
from containers import engine as engines
from containers import stand_ins
from containers.engine import Engine
from containers.journeys import Users
from ruamel.yaml import YAML
from stack import ports
from stack.secret_files import write_missing

REPLICATED = ("gateway", "auth-service", "sms-service", "sms-worker", "contacts-service")
START_SECONDS = 240
LABELS = {
    "VERSION": "1.2.3",
    "REVISION": "0123abc",
    "CREATED": "2026-01-01T00:00:00Z",
    "SOURCE": "https://example.com/haoma",
}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if not os.environ.get("CONTAINERS"):
        pytest.skip("`make containers-check` builds and runs the containers")
    found, reason = engines.find(tmp_path_factory.mktemp("engine"))
    return found or pytest.skip(reason)


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """The image of each service, built by the Dockerfile of this repository."""
    base = next(line for line in (ROOT / "deploy/Dockerfile").read_text().splitlines() if line.startswith("ARG PYTHON"))
    if stand_ins.provide(engine, f"python:{base.partition('=')[2]}"):
        print("\nno image registry: images of Debian stand in for those of others")
    for service in SERVICES:
        started = time.monotonic()
        engine.build(service, {"SERVICE": service, **LABELS})
        print(f"{service}: built in {time.monotonic() - started:.0f} s")
    return {service: f"haoma-{service}:dev" for service in SERVICES}


@dataclass(frozen=True)
class Composed:
    """The running system: its engine, and the addresses of the edge and of the SMS inbox."""

    engine: Engine
    edge: str
    plain: str
    inbox: str


@pytest.fixture(scope="session")
def composed(
    engine: Engine,
    images: dict[str, str],  # noqa: ARG001  the system runs from them
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """The system of docker-compose.yml, two replicas of each process, with secrets and volumes of its own."""
    for image in engines.names(YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]):
        stand_ins.provide(engine, image)
    secrets = tmp_path_factory.mktemp("secrets")
    write_missing(secrets)
    http, https, inbox = (ports.free_port() for _ in range(3))
    engine.environ |= {
        "ENVIRONMENT": "development",
        "COMPOSE_PROFILES": "development",
        "CALLER_LIMITS": "off",
        "EDGE_SITES": "localhost",
        "EDGE_HTTP_PORT": str(http),
        "EDGE_HTTPS_PORT": str(https),
        "SMS_PORT": str(inbox),
        "SECRETS_FOLDER": str(secrets),
        "FRONT_NETWORK": "10.219.99.0/24",
    }
    system = Composed(engine, f"https://localhost:{https}", f"http://localhost:{http}", f"http://127.0.0.1:{inbox}")
    try:
        _start(engine)
        _wait(system)
        yield system
    finally:
        _remove(engine)


def _start(engine: Engine) -> None:
    scale = [word for name in REPLICATED for word in ("--scale", f"{name}=2")]
    engine.compose("--profile", "development", "up", "-d", "--no-build", *scale, stdout=subprocess.DEVNULL)


def _wait(system: Composed) -> None:
    """Wait until every replica is ready. Fails with the log of one that is not."""
    deadline = time.monotonic() + START_SECONDS
    for service in REPLICATED:
        while len(replicas := system.engine.replicas(service)) < 2 or not all(
            is_ready(system.engine, each) for each in replicas
        ):
            if time.monotonic() > deadline:
                names = system.engine.run("ps", "-a", "--format", "{{.Names}} {{.Status}}")
                logs = "\n".join(system.engine.run("logs", "--tail", "5", name) for name in replicas)
                pytest.fail(f"{service} is not ready\n{names}\n{logs}")
            time.sleep(1)


READY = """
import os, sys, urllib.request
sys.path.insert(0, "/app")
import health
port = health.PORTS[health.process(os.environ["SERVICE"], open("/proc/1/cmdline", "rb").read())][1]
print(urllib.request.urlopen(f"http://127.0.0.1:{port}/{sys.argv[1]}", timeout=3).read().decode())
"""


def is_ready(engine: Engine, replica: str) -> bool:
    try:
        return bool(json.loads(engine.python(replica, READY, "readyz", stderr=subprocess.DEVNULL))["ready"])
    except subprocess.CalledProcessError:
        return False


def metrics(engine: Engine, replica: str) -> str:
    return engine.python(replica, READY, "metrics")


def _remove(engine: Engine) -> None:
    """Stop and remove the containers, networks and volumes of this run, those of replicas too."""
    label = f"label=com.docker.compose.project={engines.PROJECT}"
    containers = engine.run("ps", "-a", "-q", "--filter", label).split()
    if containers:
        engine.run("rm", "-f", "-v", *containers)
    engine.compose("down", "-v", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
async def users(composed: Composed) -> AsyncIterator[Users]:
    """Users who trust the edge's own authority."""
    authority = composed.engine.run("exec", edge(composed), "cat", "/data/caddy/pki/authorities/local/root.crt")
    context = ssl.create_default_context(cadata=authority)
    connector = aiohttp.TCPConnector(ssl=context, limit=100, keepalive_timeout=5)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield Users(http, composed.edge, composed.inbox)


def edge(composed: Composed) -> str:
    return composed.engine.replicas("edge")[0]
