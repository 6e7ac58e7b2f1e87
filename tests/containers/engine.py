"""The engine that builds and runs the containers: Docker with Compose, or Podman with buildah and podman-compose."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from architecture.tree import ROOT

PROJECT = "haoma-check"
PODMAN_TOOLS = ("podman", "buildah", "runc", "debootstrap", "nft")
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

# As Docker does, and unlike Podman: a read-only container gets only the file systems in memory that it names.
PODMAN_LIKE_DOCKER = """\
#!/bin/sh
case $1 in
create | run) verb=$1 && shift && exec podman "$verb" --read-only-tmpfs=false "$@" ;;
esac
exec podman "$@"
"""


class Engine:
    """Runs commands of the engine. ``environ`` has the settings of the composed system."""

    def __init__(self, folder: Path, *, is_podman: bool) -> None:
        self.is_podman = is_podman
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
        files = ["--env-file", os.devnull, "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml")]
        subprocess.run([*command, *files, *words], env=self.environ, cwd=ROOT, check=True, **options)

    def build(self, service: str, arguments: Mapping[str, str]) -> None:
        """Build the image of a service, as ``make images`` does."""
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        place = (
            ["--network", "host", "--pull=never", "-v", "/etc/ssl/certs:/etc/ssl/certs:ro"] if self.is_podman else []
        )
        self.run("build", *place, "-q", "-f", "deploy/Dockerfile", "-t", f"haoma-{service}:dev", *words, ".", cwd=ROOT)

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
    if shutil.which("docker") and _works("docker", "compose", "version"):
        return Engine(folder, is_podman=False), ""
    missing = [tool for tool in PODMAN_TOOLS if shutil.which(tool) is None]
    if missing:
        wanted = (
            "docker with compose, or: apt-get install podman buildah runc debootstrap nftables netavark aardvark-dns"
        )
        return None, f"this machine has no {missing[0]}; install {wanted}"
    return Engine(folder, is_podman=True), ""


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def names(specs: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The images of other projects that a compose file names."""
    return sorted({spec["image"] for spec in specs.values() if "build" not in spec and "profiles" not in spec})
