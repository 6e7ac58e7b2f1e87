"""Installing one Debian package without letting it start a system service."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.folder import StackError

POLICY = Path("/usr/sbin/policy-rc.d")
NO_SERVICES = "#!/bin/sh\n# Written by the local stack while it installs a package; removed right after.\nexit 101\n"


def advice(package: str) -> str:
    """The line to type."""
    become_root = "" if os.geteuid() == 0 else "sudo "
    return f"{become_root}apt-get install -y --no-install-recommends {package}"


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str, say: Callable[[str], None]) -> None:
    """Install a package as root. Raises ``StackError`` with apt's own last words."""
    say(f"installing {package} with apt-get")
    with _no_services_started():
        _apt("update", "-qq")
        _apt("install", "-y", "-qq", "--no-install-recommends", package)
    say(f"{package} is installed")


def _apt(*words: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *words]
    done = subprocess.run(
        command,
        env=env,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C waits for it: an interrupted dpkg leaves work behind
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.decode(errors="replace").splitlines()[-10:])
        raise StackError(f"{' '.join(command)} failed:\n{last}")


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    """Deny package scripts to start services, unless a policy is already in force."""
    try:
        with POLICY.open("x") as file:
            file.write(NO_SERVICES)
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
