"""Install one Debian package without letting it start a system service."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stack.folder import StackError

POLICY = Path("/usr/sbin/policy-rc.d")
LOCK_SECONDS = 120
"""How long another apt-get may take, such as that of the system after its start."""
LOCK_PAUSE_SECONDS = 1.0
LOCKED = "Could not get lock"
"""What apt-get says when another one has a lock."""
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
        _apt_get(notify, "update", "-qq")
        _apt_get(notify, "install", "-y", "-qq", "--no-install-recommends", package)
    notify(f"{package} is installed")


def _apt_get(notify: Callable[[str], None], *words: str) -> None:
    """Run apt-get once no other one runs. Its own option waits for one of the locks only, and says nothing."""
    deadline = time.monotonic() + LOCK_SECONDS
    code, output = _run(words)
    if code != 0 and LOCKED in output:
        notify(f"another apt-get is running; waiting {LOCK_SECONDS} s for it at most")
    while code != 0 and LOCKED in output and time.monotonic() < deadline:
        time.sleep(LOCK_PAUSE_SECONDS)
        code, output = _run(words)
    if code != 0:
        last = "\n".join(output.splitlines()[-10:])
        raise StackError(f"apt-get {' '.join(words)} failed:\n{last}")


def _run(words: Sequence[str]) -> tuple[int, str]:
    """The exit code of apt-get, and what it printed, in English."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "LC_ALL": "C.UTF-8", "LANGUAGE": ""}
    done = subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=0", *words],
        env=env,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C waits for it: an interrupted dpkg leaves a broken installation
    )
    return done.returncode, done.stdout.decode(errors="replace")


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
