"""The user that PostgreSQL runs as: it refuses root, so root picks another user without changing the system."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.folder import StackError

PROBE = 'cd "$1" && : > .probe && rm .probe && exec "$0" --version'


@dataclass(frozen=True)
class PostgresUser:
    """A way to run a command as another user: the prefix of the command, and the owner that its data must have."""

    name: str
    prefix: tuple[str, ...]
    uid: int
    gid: int


def choose(binary: Path, folder: Path) -> PostgresUser:
    """The first user that can run PostgreSQL on ``folder``; the folder and its contents then belong to that user.

    Raises ``StackError`` if root finds none.
    """
    if os.geteuid() != 0:
        return PostgresUser("this user", (), os.geteuid(), os.getegid())
    for user in _candidates():
        if _change_owner(folder, user) and _can_run(user, binary, folder):
            return user
    raise StackError(
        "PostgreSQL refuses to run as root, and neither another account nor a user namespace works on this machine: "
        "run as an ordinary user, or name a server in POSTGRES_URL"
    )


def _candidates() -> list[PostgresUser]:
    account = pwd.getpwnam("nobody")
    uid, gid = account.pw_uid, account.pw_gid
    drop = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all")
    # The last candidate keeps one right of root: to enter folders that it does not own, such as a checkout under /root.
    one = "=-all,+dac_override"
    keep = (*drop[:-1], "--inh-caps" + one, "--ambient-caps" + one, "--bounding-set" + one)
    namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}")
    candidates = [
        PostgresUser("an unprivileged account", drop, uid, gid),
        PostgresUser("a user namespace", namespace, 0, 0),
        PostgresUser("an unprivileged account and root's folders", (*keep, "--securebits=+no_setuid_fixup"), uid, gid),
    ]
    return [candidate for candidate in candidates if shutil.which(candidate.prefix[0])]


def _change_owner(folder: Path, user: PostgresUser) -> bool:
    """Change the owner of the folder and its contents. Returns whether the system permits it."""
    if folder.stat().st_uid == user.uid:
        return True
    try:
        for path, _, files in os.walk(folder):
            for name in (".", *files):
                os.chown(Path(path, name), user.uid, user.gid, follow_symlinks=False)
    except PermissionError:
        return False
    return True


def _can_run(user: PostgresUser, binary: Path, folder: Path) -> bool:
    command = [*user.prefix, "/bin/sh", "-c", PROBE, str(binary), str(folder)]
    return subprocess.run(command, capture_output=True, check=False, cwd=folder).returncode == 0
