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
from support.tools import LOCAL

from gateway.named_operators import Role, generate

PROFILES = ("development", "operators")
REPLICATED = ("gateway", "auth-service", "sms-service", "sms-worker", "contacts-service")
START_SECONDS = 240
LOGS = LOCAL / "containers"
SENDERS = ("aliyun", "aws", "smpp", "tencent", "twilio")
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
    return {service: built(engine, f"haoma-{service}:dev", {"SERVICE": service}) for service in SERVICES}


@pytest.fixture(scope="session")
def image_with_senders(engine: Engine, images: dict[str, str]) -> str:  # noqa: ARG001  it needs the same base
    """The image of sms-service with the libraries of every provider."""
    arguments = {"SERVICE": "sms-service", "SENDERS": " ".join(SENDERS)}
    return built(engine, "haoma-sms-service:senders", arguments)


def built(engine: Engine, image: str, arguments: dict[str, str]) -> str:
    """Build an image, and say how long that took."""
    started = time.monotonic()
    engine.build(image, {**arguments, **LABELS})
    print(f"\n{image}: built in {time.monotonic() - started:.0f} s", end="")
    return image


@dataclass(frozen=True)
class Composed:
    """The running system: its engine, the addresses of what it opens on this machine, and the key of an operator."""

    engine: Engine
    edge: str
    plain: str
    inbox: str
    operators: str
    operator_key: str
    prometheus: str


@pytest.fixture(scope="session")
def composed(
    engine: Engine,
    images: dict[str, str],  # noqa: ARG001  the system runs from them
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    """The system of docker-compose.yml, two replicas of each process, with secrets and volumes of its own."""
    for image in engines.names(YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]):
        stand_ins.provide(engine, image)
    secrets, operators = tmp_path_factory.mktemp("secrets"), tmp_path_factory.mktemp("operators")
    write_missing(secrets)
    key, entry = generate("ada", Role.OPERATOR)
    (operators / "operators.toml").write_text(entry)
    operators.chmod(0o755)
    http, https, inbox, operator, prometheus = (ports.free_port() for _ in range(5))
    engine.environ |= {
        "ENVIRONMENT": "development",
        "COMPOSE_PROFILES": ",".join(PROFILES),
        "CALLER_LIMITS": "off",
        "EDGE_SITES": "localhost",
        "EDGE_HTTP_PORT": str(http),
        "EDGE_HTTPS_PORT": str(https),
        "SMS_PORT": str(inbox),
        "OPERATOR_PORT": str(operator),
        "PROMETHEUS_PORT": str(prometheus),
        "SECRETS_FOLDER": str(secrets),
        "OPERATORS_FOLDER": str(operators),
        "FRONT_NETWORK": "10.219.99.0/24",
    }
    system = Composed(
        engine,
        edge=f"https://localhost:{https}",
        plain=f"http://localhost:{http}",
        inbox=f"http://127.0.0.1:{inbox}",
        operators=f"http://127.0.0.1:{operator}",
        operator_key=key,
        prometheus=f"http://127.0.0.1:{prometheus}",
    )
    try:
        _start(engine)
        _wait(system)
        yield system
    finally:
        _remove(engine)


def _start(engine: Engine) -> None:
    engine.scale(REPLICATED, 2)
    profiles = [word for name in PROFILES for word in ("--profile", name)]
    engine.compose(*profiles, "up", "-d", "--no-build", stdout=subprocess.DEVNULL)


def _wait(system: Composed) -> None:
    """Wait until every replica is ready. Fails with the log of one that is not."""
    deadline = time.monotonic() + START_SECONDS
    for service, wanted in {**dict.fromkeys(REPLICATED, 2), "operator-api": 1}.items():
        while len(replicas := system.engine.replicas(service)) < wanted or not all(
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
    """Remove the containers, networks and volumes of this run, those of replicas too. Their logs stay, in ``LOGS``."""
    label = f"label=com.docker.compose.project={engines.PROJECT}"
    containers = engine.run("ps", "-a", "--filter", label, "--format", "{{.Names}}").split()
    LOGS.mkdir(parents=True, exist_ok=True)
    for name in containers:
        with (LOGS / f"{name}.log").open("w") as log:
            subprocess.run((engine.program, "logs", name), env=engine.environ, stdout=log, stderr=log, check=False)
    if containers:
        engine.run("rm", "-f", "-v", *(["--depend"] if engine.is_podman else []), *containers)
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


@pytest.fixture(scope="session")
def monitored(composed: Composed) -> Composed:
    """The system with Prometheus, and with Grafana where its image can be had: it has no stand-in."""
    specs = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    found = [
        name for name in ("prometheus", "grafana") if stand_ins.is_available(composed.engine, specs[name]["image"])
    ]
    print(f"\nmonitoring: {' and '.join(found)}")
    composed.engine.compose("--profile", "monitoring", "up", "-d", "--no-build", *found, stdout=subprocess.DEVNULL)
    return composed
