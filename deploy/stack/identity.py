"""Under whose name PostgreSQL runs: it refuses root, so root finds it another name without touching the system."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.folder import StackError

PROBE = 'cd "$1" && : > .probe && rm .probe && exec "$0" --version'


@dataclass(frozen=True)
class Identity:
    """A command prefix that changes who runs the command, and who must own the data."""

    name: str
    prefix: tuple[str, ...]
    uid: int
    gid: int


def choose(binary: Path, folder: Path) -> Identity:
    """Who runs PostgreSQL on ``folder``; the folder and what is in it is given to them."""
    if os.geteuid() != 0:
        return Identity("this user", (), os.geteuid(), os.getegid())
    for identity in _candidates():
        if _give(folder, identity) and _can_run(identity, binary, folder):
            return identity
    raise StackError(
        "PostgreSQL refuses to run as root, and neither another account nor a user namespace works here: "
        "run as an ordinary user, or name a server in POSTGRES_URL"
    )


def _candidates() -> list[Identity]:
    nobody = pwd.getpwnam("nobody")
    uid, gid = nobody.pw_uid, nobody.pw_gid
    drop = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all")
    # The last one may pass folders it does not own, as a checkout under /root needs, and nothing else of root's.
    one = "=-all,+dac_override"
    keep = (*drop[:-1], "--inh-caps" + one, "--ambient-caps" + one, "--bounding-set" + one)
    inside = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}")
    candidates = [
        Identity("nobody", drop, uid, gid),
        Identity("a user namespace", inside, 0, 0),
        Identity("nobody, passing root's folders", (*keep, "--securebits=+no_setuid_fixup"), uid, gid),
    ]
    return [candidate for candidate in candidates if shutil.which(candidate.prefix[0])]


def _give(folder: Path, identity: Identity) -> bool:
    """Change who owns the folder and all in it; whether that was allowed."""
    if folder.stat().st_uid == identity.uid:
        return True
    try:
        for path, _, files in os.walk(folder):
            for name in (".", *files):
                os.chown(Path(path, name), identity.uid, identity.gid, follow_symlinks=False)
    except PermissionError:
        return False
    return True


def _can_run(identity: Identity, binary: Path, folder: Path) -> bool:
    command = [*identity.prefix, "/bin/sh", "-c", PROBE, str(binary), str(folder)]
    return subprocess.run(command, capture_output=True, check=False, cwd=folder).returncode == 0
