"""The local stack: what ``make run`` and the other tests start, what they keep, and that they leave nothing behind."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from stack import orphans, ports
from stack.folder import ROOT, Folder, StackError
from stack.packages import apt
from stack.servers import postgres, postgres_user, rabbitmq
from stack.servers.valkey import Valkey
from stack.services import PROGRAMS, Service
from stack.system import Stack

STAND_IN = """
import http.server, os, sys, threading
name, word = {name!r}, sys.argv[1] if len(sys.argv) > 1 else ""
if os.environ.get("BREAKS") == name + word:
    sys.exit("planned failure")
if word == "migrate":
    sys.exit()

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

port, monitoring = {port!r}, {port!r}.replace("_PORT", "_MONITORING_PORT")
words = {{"worker": ("SMS_WORKER_MONITORING_PORT",), "operator-api": ("OPERATOR_PORT", "OPERATOR_MONITORING_PORT")}}
names = words.get(word, (port, monitoring))
servers = [http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ[name])), Ready) for name in names]
print("serving", flush=True)
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
MODULES = {
    "gateway": "GATEWAY_PORT",
    "auth_service": "AUTH_PORT",
    "sms_service": "SMS_PORT",
    "contacts_service": "CONTACTS_PORT",
}
PORTS = (
    *MODULES.values(),
    *(port.replace("_PORT", "_MONITORING_PORT") for port in MODULES.values()),
    "SMS_WORKER_MONITORING_PORT",
    "OPERATOR_PORT",
    "OPERATOR_MONITORING_PORT",
)
TIMEOUT_SECONDS = 60
"""For a start, a stop or a response on a busy machine; on a quiet one most take a second."""


class Checkout:
    """A separate checkout with a ``.local`` of its own; ``run`` starts in it what ``make run`` starts."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.local = self.root / ".local"
        self.runs: list[subprocess.Popen[str]] = []
        shutil.copytree(ROOT / "deploy" / "stack", self.root / "deploy" / "stack")

    def stand_ins(self) -> dict[str, str]:
        """Replace our processes with stand-ins, for tests of the stack alone. Returns the variables for ``run``."""
        for module, port in MODULES.items():
            (self.root / "stand-ins" / module).mkdir(parents=True, exist_ok=True)
            (self.root / "stand-ins" / module / "__init__.py").touch()
            program = self.root / "stand-ins" / module / "__main__.py"
            program.write_text(STAND_IN.format(name=module, port=port))
        return {"PYTHONPATH": f"{self.root}/deploy:{self.root}/stand-ins"}

    def run(self, *, in_background: bool = False, **env: str) -> subprocess.Popen[str]:
        """Start it; ``in_background`` starts it with SIGINT ignored, as ``make run &`` in a script does."""
        free = {name: str(ports.free_port()) for name in PORTS if name not in env}
        ignoring = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh") if in_background else ()
        process = subprocess.Popen(
            [*ignoring, sys.executable, "-m", "stack", "run"],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "deploy"), **free, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.runs.append(process)
        return process

    def make_run(self) -> subprocess.Popen[str]:
        """Start ``make run`` itself as a background job of a script: a process group of its own, SIGINT ignored."""
        shutil.copy(ROOT / "Makefile", self.root)
        (self.root / ".venv").symlink_to(sys.prefix)
        process = subprocess.Popen(
            ["sh", "-c", "trap '' INT; exec make -o .venv/.installed run"],
            cwd=self.root,
            env={**os.environ, **{name: str(ports.free_port()) for name in PORTS}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.runs.append(process)
        return process

    def addresses(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """Wait until everything is ready. Returns the variables in ``stack.env``."""
        file = self.local / "stack.env"
        while not file.exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        return dict(word.split("=", 1) for word in shlex.split(file.read_text()))

    def end(self) -> None:
        for process in self.runs:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=TIMEOUT_SECONDS)


@pytest.fixture
def checkout(tmp_path):
    checkout = Checkout(tmp_path / "a checkout")
    yield checkout
    checkout.end()
    assert orphans.find(checkout.local) == []


@pytest.fixture(scope="module")
def running():
    with Stack.private() as stack:
        stack.start_servers()
        yield stack


@pytest.fixture
def own_folder(tmp_path):
    own = Folder(tmp_path / "data")
    own.open()
    yield own
    own.close()


def test_free_ports_are_free_and_unique():
    free = [ports.free_port() for _ in range(100)]

    assert len(set(free)) == 100
    assert ports.is_free(free[0])


def test_two_runs_cannot_reserve_the_same_port():
    port = ports.free_port()
    other_run = subprocess.run(
        [sys.executable, "-c", f"from stack import ports; raise SystemExit(ports.reserve({port}))"],
        env=with_stack(),
        check=False,
    )
    assert other_run.returncode == 0, "another process could reserve it too"


def test_a_port_in_use_is_refused_with_its_variable_and_a_default_in_use_is_replaced():
    notices: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        used = other.getsockname()[1]

        with pytest.raises(StackError, match=f"AUTH_PORT={used}: the port is in use"):
            ports.requested_port("AUTH_PORT", 8081, {"AUTH_PORT": str(used)}, notices.append)
        replacement = ports.requested_port("AUTH_PORT", used, {}, notices.append)

    assert replacement != used
    assert notices == [f"port {used} is in use: AUTH_PORT is {replacement} instead"]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_postgresql_comes_back_on_its_port_with_its_data(running, how):
    server = running.servers.postgres
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"create table kept_{how} as select 42 as answer")
    await connection.close()

    getattr(server, how)()
    assert not server.is_alive
    server.start()

    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval(f"select answer from kept_{how}") == 42
    assert await connection.fetchval("show fsync") == "on"
    await connection.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_valkey_comes_back_on_its_port_with_its_data(running, how):
    server = running.servers.redis
    async with Redis.from_url(server.url) as client:
        await client.set(how, "kept")
        if how == "kill":
            assert await client.waitaof(1, 0, TIMEOUT_SECONDS * 1000) == [
                1,
                0,
            ]  # Valkey synchronises its file every second

    getattr(server, how)()
    server.start()

    async with Redis.from_url(server.url) as client:
        assert await client.get(how) == b"kept"


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_rabbitmq_comes_back_on_its_port_with_its_messages(running, how):
    server = running.servers.rabbitmq
    async with await aio_pika.connect(server.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(how, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"kept", delivery_mode=2), queue.name)
    await asyncio.sleep(1 if how == "kill" else 0)  # the broker writes a new quorum queue to disk half a second later

    getattr(server, how)()
    server.start()

    async with await aio_pika.connect(server.url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(how, durable=True, arguments={"x-queue-type": "quorum"})
        message = await queue.get(timeout=TIMEOUT_SECONDS)
        assert message.body == b"kept"
        await message.ack()


def test_a_paused_server_is_silent_until_it_is_resumed(running):
    server = running.servers.redis

    server.pause()
    assert not ports.responds(server.port, b"PING\r\n", b"-NOAUTH")
    server.resume()
    assert ports.responds(server.port, b"PING\r\n", b"-NOAUTH")


async def test_every_server_requires_its_password(running):
    guessed = {name: re.sub(r":[0-9a-f]+@", ":guessed@", url) for name, url in running.servers.environ.items()}

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(guessed["POSTGRES_URL"])
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(guessed["AMQP_URL"])
    async with Redis.from_url(guessed["REDIS_URL"]) as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


def test_every_server_listens_on_loopback_only(running):
    pids = orphans.find(running.folder.path)
    opened = [str(entry.readlink()) for pid in pids for entry in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {name[8:-1] for name in opened if name.startswith("socket:[")}
    tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    rows = [row.split() for row in tables.splitlines() if ":" in row]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets]

    assert len(listening) >= 5  # PostgreSQL, Valkey, RabbitMQ, its distribution port and epmd
    assert set(listening) <= {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1


def test_a_probe_that_meets_itself_is_no_server_and_leaves_the_port_free(monkeypatch, own_folder):
    """The kernel may give a probe the very port that it probes, if that is one for outgoing connections."""
    met = []

    def connect_to_itself(address, timeout):
        probe = socket.socket()
        probe.settimeout(timeout)
        probe.bind(address)
        probe.connect(address)
        met.append(probe)
        return probe

    monkeypatch.setattr(socket, "create_connection", connect_to_itself)
    port = ports.free_port()
    assert not ports.responds(port, b"PING", b"PING")
    assert Service(PROGRAMS["gateway"], own_folder, {}, port=0, monitoring_port=port).status("/readyz") is None
    assert len(met) == 2
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((ports.HOST, port))
        server.listen()


def test_stack_env_quotes_shell_syntax_in_an_address(own_folder):
    hostile = "amqp://user:p'$(touch x) \"y@mq.example:5672/%2F"
    stack = Stack(own_folder.path / "inner", external={"AMQP_URL": hostile}, free_ports=True)
    stack.open()
    try:
        file = stack.write_env()
        printed = subprocess.run(
            ["sh", "-c", '. "$1"; printf %s "$AMQP_URL"', "sh", file], capture_output=True, text=True, check=True
        )
        assert printed.stdout == hostile
        assert file.stat().st_mode & 0o777 == 0o600
    finally:
        stack.stop()
    assert not file.exists()


def test_a_private_system_leaves_no_process_and_no_folder():
    with Stack.private(environ={"REVEAL_CODES": "true"}) as stack:
        stack.servers.redis.start()
        stack.servers.postgres.start()
        assert len(orphans.find(stack.folder.path)) >= 2
        assert stack.environ["REVEAL_CODES"] == "true"
        assert stack.environ["INBOX_URL"] == stack.url("sms-service")

    assert orphans.find(stack.folder.path) == []
    assert not stack.folder.path.exists()


@pytest.mark.parametrize(
    ("environ", "limits"),
    [
        ({"ENVIRONMENT": "", "CALLER_LIMITS": ""}, "off"),
        ({"ENVIRONMENT": "development", "CALLER_LIMITS": "on"}, "on"),
        ({"ENVIRONMENT": "production", "CALLER_LIMITS": ""}, ""),
    ],
)
def test_a_developer_is_not_throttled_unless_they_ask_for_it(environ, limits):
    with Stack.private(environ=environ) as stack:
        assert stack.environ["CALLER_LIMITS"] == limits


def test_a_command_with_the_environment_of_a_service_ends_with_the_stack():
    with Stack.private() as stack:
        command = subprocess.Popen(["sleep", "600"], env=stack.environ_of("auth-service"))

    try:
        assert command.wait(timeout=10) == -signal.SIGTERM
    finally:
        command.kill()


def test_the_reaper_ends_the_processes_of_a_killed_starter(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from stack.folder import Folder
from stack.servers.valkey import Valkey
folder = Folder(Path(sys.argv[1]))
folder.open()
Valkey(folder, "secret").start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=with_stack(), check=False)

    own = Folder(tmp_path)  # open() waits for the reaper, which keeps the lock until it has finished
    assert own.open() == []
    own.close()


def test_the_next_start_ends_processes_that_have_no_reaper(tmp_path):
    old = Folder(tmp_path)
    (tmp_path / "logs").mkdir()
    server = Valkey(old, "secret")
    server.start()
    (tmp_path / "stack.env").write_text("GATEWAY_URL=stale\n")

    new = Folder(tmp_path)
    ended = new.open()
    new.close()

    assert ended == [server.process.pid]
    assert not server.is_alive
    assert not (tmp_path / "stack.env").exists()


def test_a_stale_pid_file_does_not_prevent_a_start_of_postgresql(own_folder):
    server = postgres.Postgres(own_folder, "secret")
    server.start()
    file = own_folder.path / "postgres" / "data" / "postmaster.pid"
    stale = file.read_text().split("\n", 1)[1]
    server.kill()
    own_folder.close()
    file.write_text(f"{os.getpid()}\n{stale}")  # this pid now belongs to another process

    again = Folder(own_folder.path)
    again.open()
    try:
        server = postgres.Postgres(again, "secret")
        server.start()
        assert server.is_alive
        server.close()
    finally:
        again.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
@pytest.mark.parametrize("way", range(3))
def test_root_finds_a_way_to_run_postgresql(own_folder, monkeypatch, way):
    candidates = postgres_user._candidates()
    if way == 0:  # the other candidates may enter pytest's own folders, which are closed to other users
        for parent in own_folder.path.parents[:4]:
            parent.chmod(0o755)
    only = [candidates[way]]
    monkeypatch.setattr(postgres_user, "_candidates", lambda: only)
    server = postgres.Postgres(own_folder, "secret")
    try:
        server.start()
    except StackError as error:
        if "nor a user namespace works" in str(error):
            pytest.skip(f"{only[0].name} does not work on this machine")
        raise

    assert server.is_alive
    assert (server.home / "data").stat().st_uid == only[0].uid
    server.close()


def test_without_rabbitmq_the_error_names_the_command_that_installs_it(own_folder, monkeypatch):
    monkeypatch.setattr(rabbitmq, "SCRIPTS", ())
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(StackError, match="apt-get install -y --no-install-recommends rabbitmq-server, or set AMQP_URL"):
        rabbitmq.RabbitMQ(own_folder, "secret").start()


def test_root_installs_rabbitmq_without_starting_its_service(tmp_path, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(apt, "POLICY", policy)
    monkeypatch.setattr(
        apt, "_apt_get", lambda _, *words: calls.append((words[0], subprocess.run([policy], check=False).returncode))
    )

    apt.install("rabbitmq-server", lambda _: None)

    assert calls == [("update", 101), ("install", 101)]
    assert not policy.exists()


def test_an_installation_waits_for_another_one(tmp_path, monkeypatch):
    """apt-get fails at once while another one reads the lists of packages."""
    busy, calls = tmp_path / "busy", tmp_path / "calls"
    busy.touch()
    program = tmp_path / "apt-get"
    program.write_text(
        f"#!/bin/sh\necho $2 >>{calls}\n"
        f"[ -e {busy} ] || exit 0\nrm {busy}\necho 'E: Could not get lock /var/lib/apt/lists/lock.'\nexit 100\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(apt, "LOCK_PAUSE_SECONDS", 0)
    messages: list[str] = []

    apt._apt_get(messages.append, "update")
    assert calls.read_text().splitlines() == ["DPkg::Lock::Timeout=0"] * 2
    assert messages == [f"another apt-get is running; waiting {apt.LOCK_SECONDS} s for it at most"]

    busy.touch()
    monkeypatch.setattr(apt, "LOCK_SECONDS", 0)
    with pytest.raises(StackError, match="Could not get lock"):
        apt._apt_get(messages.append, "update")


def test_two_runs_in_one_checkout_and_a_later_one(checkout, running):
    env = {**checkout.stand_ins(), "AMQP_URL": running.servers.environ["AMQP_URL"]}
    first = checkout.run(**env)
    addresses = checkout.addresses(first)
    secrets = (checkout.local / "secrets.env").read_text()
    assert urllib.request.urlopen(addresses["GATEWAY_MONITORING_URL"] + "/readyz").status == 200

    second = checkout.run(**env)
    assert second.wait(timeout=TIMEOUT_SECONDS) == 1
    assert f"already runs in {checkout.local} (process {first.pid})" in second.communicate()[0]

    first.send_signal(signal.SIGTERM)
    output = first.communicate(timeout=TIMEOUT_SECONDS)[0]
    assert first.returncode == 0
    assert f"{addresses['SMS_URL']}/inbox" in output
    assert not (checkout.local / "stack.env").exists()

    third = checkout.run(**env)
    checkout.addresses(third)
    assert (checkout.local / "secrets.env").read_text() == secrets


@pytest.mark.parametrize("in_background", [False, True])
@pytest.mark.parametrize("seconds", [0, 0.6, 2.0])
def test_ctrl_c_during_a_start_leaves_nothing(checkout, seconds, in_background):
    process = checkout.run(in_background=in_background, **checkout.stand_ins())
    while not listens_to(process, signal.SIGTERM):
        time.sleep(0.002)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)

    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]

    assert orphans.find(checkout.local) == []
    assert not (checkout.local / "stack.env").exists()
    assert process.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("to", "number"), [("make", signal.SIGTERM), ("group", signal.SIGTERM), ("group", signal.SIGINT)]
)
def test_a_signal_to_make_or_to_its_process_group_ends_a_run_in_the_background(checkout, to, number):
    # SIGINT to make alone cannot work: make passes on SIGTERM only, and ignores SIGINT in the background of a script.
    process = checkout.make_run()
    while not any(listens_to(process, signal.SIGTERM, pid) for pid in started_by(process.pid)):
        time.sleep(0.01)

    if to == "make":
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]

    assert "everything is stopped" in output
    assert orphans.find(checkout.local) == []


def test_ctrl_c_before_the_start_listens_also_ends_it(checkout):
    process = checkout.run(**checkout.stand_ins())
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=TIMEOUT_SECONDS)

    assert orphans.find(checkout.local) == []


def test_the_processes_of_a_start_in_the_background_do_not_ignore_ctrl_c(checkout, running):
    process = checkout.run(in_background=True, **checkout.stand_ins(), **running.servers.environ)
    checkout.addresses(process)

    pids = [pid for pid in orphans.find(checkout.local) if pid != process.pid]

    assert len(pids) >= len(MODULES)
    assert not any(signals(pid, "SigIgn") & {signal.SIGINT, signal.SIGTERM} for pid in pids)


@pytest.mark.parametrize(
    ("breaks", "name"), [("auth_servicemigrate", "auth-service-migrate"), ("sms_serviceworker", "sms-worker")]
)
def test_a_failing_process_ends_the_run_with_its_name_and_its_last_lines(checkout, running, breaks, name):
    process = checkout.run(**checkout.stand_ins(), **running.servers.environ, BREAKS=breaks)

    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]

    assert process.returncode == 1
    assert f"{name} ended with status 1" in output
    assert "planned failure" in output
    assert orphans.find(checkout.local) == []


def test_a_process_that_dies_later_also_ends_the_run(checkout, running):
    process = checkout.run(**checkout.stand_ins(), **running.servers.environ)
    addresses = checkout.addresses(process)
    port = int(addresses["CONTACTS_URL"].rpartition(":")[2])
    os.kill(listener(checkout.local, "contacts_service", port), signal.SIGKILL)

    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]

    assert process.returncode == 1
    assert "contacts-service ended with status -9" in output
    assert orphans.find(checkout.local) == []


def test_make_run_starts_the_real_system_and_a_code_arrives(checkout):
    process = checkout.run()
    addresses = checkout.addresses(process)
    send = "/v1/user/register/verify_code.json?source=curl&phone_number=13800138000"

    with urllib.request.urlopen(addresses["GATEWAY_URL"] + send, timeout=TIMEOUT_SECONDS) as response:
        assert response.status == 200
    inbox = "/inbox/messages/latest?to=%2B8613800138000&wait=10"
    with urllib.request.urlopen(addresses["SMS_URL"] + inbox, timeout=TIMEOUT_SECONDS) as response:
        assert json.load(response)["code"].isdecimal()

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0


def with_stack() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "deploy")}


def signals(pid: int, kind: str) -> set[int]:
    """The signals that a process ignores (``SigIgn``) or has a handler for (``SigCgt``)."""
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith(kind + ":")]
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def listens_to(process: subprocess.Popen[str], number: signal.Signals, pid: int | None = None) -> bool:
    """Whether a process, or the one with the given pid that it started, has a handler for a signal."""
    assert process.poll() is None, process.communicate()[0]
    return number in signals(pid or process.pid, "SigCgt")


def started_by(pid: int) -> list[int]:
    """The processes under ``make`` that have become ``python -m stack``."""
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in orphans.process_tree(pid)[1:]}
    return [child for child, command in commands.items() if b"\0-m\0stack\0" in command]


def listener(local: Path, module: str, port: int) -> int:
    for pid in orphans.find(local):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if module.encode() in words:
            return pid
    raise AssertionError(f"no process serves {module} on {port}")
