"""The engine that builds and runs the containers: Docker with Compose, or Podman with buildah and podman-compose."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from architecture.tree import ROOT

PROJECT = "haoma-check"
PODMAN_TOOLS = ("podman", "buildah", "runc", "debootstrap", "iptables")
PODMAN_COMPOSE = Path(sys.executable).with_name("podman-compose")
# The limits of open files and processes stay as they are: raising them is not allowed everywhere.
PODMAN_SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

# As Docker does, and unlike Podman: a read-only container gets only the file systems in memory that it names, and can be
# started when those that started before it have ended (Podman 4.3 then fails).
PODMAN_LIKE_DOCKER = """\
#!/bin/bash
words=()
for word in "$@"; do
    case $word in --requires=*) ;; *) words+=("$word") ;; esac
done
case $1 in
create | run) exec podman "$1" --read-only-tmpfs=false "${words[@]:1}" ;;
esac
exec podman "${words[@]}"
"""


LOG_CHARACTERS = 3000


class BuildError(Exception):
    """An image cannot be built."""


class Engine:
    """Runs commands of the engine. ``environ`` has the settings of the composed system."""

    def __init__(self, folder: Path, *, is_podman: bool) -> None:
        self.is_podman = is_podman
        self._override = folder / "override.yml"
        self._podman = Path("podman")
        self.program = "podman" if is_podman else "docker"
        self.environ: dict[str, str] = {**os.environ}
        if is_podman:
            self._podman, settings = folder / "podman", folder / "containers.conf"
            settings.write_text(PODMAN_SETTINGS)
            self._podman.write_text(PODMAN_LIKE_DOCKER)
            self._podman.chmod(0o755)
            self.environ |= {
                "CONTAINERS_CONF": str(settings),
                "BUILDAH_ISOLATION": "chroot",
                "BUILDAH_FORMAT": "docker",
            }

    def run(self, *words: str, **options: Any) -> str:
        """Run a command of the engine, and return what it prints. Raises ``CalledProcessError``."""
        done = subprocess.run(
            (self.program, *words), env=self.environ, check=True, stdout=subprocess.PIPE, text=True, **options
        )
        return done.stdout.strip()

    def compose(self, *words: str, **options: Any) -> None:
        """Run a command of Compose on the system, without an .env file."""
        podman = [str(PODMAN_COMPOSE), "--podman-path", str(self._podman)]
        command = podman if self.is_podman else ["docker", "compose"]
        overridden = ["-f", str(self._override)] if self._override.exists() else []
        files = ["--env-file", os.devnull, "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml"), *overridden]
        subprocess.run([*command, *files, *words], env=self.environ, cwd=ROOT, check=True, **options)

    def scale(self, services: Iterable[str], replicas: int) -> None:
        """Let Compose run so many replicas from now on. ``--scale`` of podman-compose knows one service only."""
        self._override.write_text(json.dumps({"services": {name: {"scale": replicas} for name in services}}))

    def build(self, image: str, arguments: Mapping[str, str]) -> None:
        """Build an image, as ``make images`` does. Raises ``BuildError`` with the last lines of the log."""
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        place = (
            ["--network", "host", "--pull=never", "-v", "/etc/ssl/certs:/etc/ssl/certs:ro"] if self.is_podman else []
        )
        command = ("build", *place, "-q", "-f", "deploy/Dockerfile", "-t", image, *words, ".")
        try:
            self.run(*command, cwd=ROOT, stderr=subprocess.PIPE)
        except subprocess.CalledProcessError as error:
            raise BuildError(f"{image}: {error.stderr[-LOG_CHARACTERS:]}") from error

    def replicas(self, service: str) -> list[str]:
        """The names of the running containers of a service."""
        label = f"com.docker.compose.service={service}"
        project = f"com.docker.compose.project={PROJECT}"
        found = self.run("ps", "--filter", f"label={label}", "--filter", f"label={project}", "--format", "{{.Names}}")
        return sorted(found.split())

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows about a container or image."""
        return dict(json.loads(self.run("inspect", name))[0])

    def python(self, container: str, program: str, *arguments: str, **options: Any) -> str:
        """Run a Python program in a container of ours, which has no shell."""
        return self.run("exec", container, "python", "-c", program, *arguments, **options)

    def logs(self, service: str) -> str:
        """What the replicas of a service have written."""
        return "".join(self.run("logs", name, stderr=subprocess.STDOUT) for name in self.replicas(service))


def find(folder: Path) -> tuple[Engine | None, str]:
    """The engine of this machine, or why there is none."""
    if shutil.which("docker") and _works("docker", "compose", "version") and _works("docker", "info"):
        return Engine(folder, is_podman=False), ""
    missing = [tool for tool in PODMAN_TOOLS if shutil.which(tool) is None]
    if missing:
        wanted = (
            "docker with compose, or: apt-get install podman buildah runc debootstrap iptables netavark aardvark-dns"
        )
        return None, f"this machine has no {missing[0]}; install {wanted}"
    return Engine(folder, is_podman=True), ""


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def names(specs: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The images of other projects that a compose file names."""
    return sorted({spec["image"] for spec in specs.values() if "build" not in spec and "profiles" not in spec})
