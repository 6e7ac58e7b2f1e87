"""Install one Debian package without letting it start a system service."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.folder import StackError

POLICY = Path("/usr/sbin/policy-rc.d")
DENY_SERVICES = "#!/bin/sh\n# The local stack removes this file once it has installed a package.\nexit 101\n"


def install_command(package: str) -> str:
    """The command that a developer types to install the package."""
    become_root = "" if os.geteuid() == 0 else "sudo "
    return f"{become_root}apt-get install -y --no-install-recommends {package}"


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str, notify: Callable[[str], None]) -> None:
    """Install a package as root. Raises ``StackError`` with the last lines that apt-get printed."""
    notify(f"installing {package} with apt-get")
    with _services_denied():
        _apt_get("update", "-qq")
        _apt_get("install", "-y", "-qq", "--no-install-recommends", package)
    notify(f"{package} is installed")


def _apt_get(*words: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *words]
    done = subprocess.run(
        command,
        env=env,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C waits for it: an interrupted dpkg leaves a broken installation
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.decode(errors="replace").splitlines()[-10:])
        raise StackError(f"{' '.join(command)} failed:\n{last}")


@contextlib.contextmanager
def _services_denied() -> Iterator[None]:
    """Forbid package scripts to start services, unless the machine has its own policy for this."""
    try:
        with POLICY.open("x") as file:
            file.write(DENY_SERVICES)
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
