"""The steps of the move, in their order: what each does, checks and reports."""

import asyncio
import filecmp
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.log_ins import log_in_everywhere, use_old_tokens
from rehearsal.old_base import KINDS, MISTAKES
from rehearsal.scene import NEW_DATABASE, Scene, must

RATE = "1000000"
"""No pause between batches: the rehearsal has no consumers to spare."""
DIRECTORY_SECONDS = 600.0


@dataclass(frozen=True)
class Step:
    """One step. ``run`` returns a line about what it found, or raises ``RehearsalError``."""

    name: str
    run: Callable[[Scene], Awaitable[str]]


async def make_base(scene: Scene) -> str:
    """A file as another system writes it."""
    await asyncio.to_thread(scene.base.write, scene.users, scene.known_passwords)
    kinds = ", ".join(f"{count} {name}" for name, count in scene.base.kinds.most_common())
    return f"{len(scene.base.users)} users: {kinds}; {len(MISTAKES)} lines with mistakes"


async def dry_run(scene: Scene) -> str:
    """The file is read, known passwords are tried, and nothing is written."""
    words = ("import", str(scene.users), "--dry-run", "--known-passwords", str(scene.known_passwords))
    output = await scene.command(*words, statuses=(3,))
    known = len([kind for kind in KINDS if kind.digest])
    must(f"{len(scene.base.users)} users would be imported" in output, output)
    must(f"known passwords: {known} match, 0 do not" in output, output)
    must(_refused(scene) == MISTAKES, f"other lines are refused: {_refused(scene)}")
    must(await scene.value("select count(*) from accounts") == 0, "the dry run has written accounts")
    return f"{known} known passwords match; {len(MISTAKES)} lines refused, each with its reason"


async def import_users(scene: Scene) -> str:
    """All users are imported, and no digest of another system is at rest."""
    started, count = time.monotonic(), len(scene.base.users)
    await scene.command("import", str(scene.users), "--rate", RATE, statuses=(3,))
    seconds = time.monotonic() - started
    must(_refused(scene) == MISTAKES, f"other lines are refused: {_refused(scene)}")
    must(await scene.value("select count(*) from accounts") == count, "users are missing, or are there twice")
    weak = "select count(*) from accounts where password_hash !~ '^[0-9]+[$]argon2id[$]'"
    must(await scene.value(weak) == 0, "a digest is at rest that is not argon2id")
    return f"{count} users, {count / seconds:.0f} a second"


async def import_again(scene: Scene) -> str:
    """The same file again changes nothing, and costs no hash."""
    started, count = time.monotonic(), len(scene.base.users)
    output = await scene.command("import", str(scene.users), statuses=(3,))
    must(f"0 users imported, {count + 1} were imported before" in output, output)
    return f"0 imported, {count / (time.monotonic() - started):.0f} lines a second"


async def follow_events(scene: Scene) -> str:
    """contacts-service has got an event for each user, so contacts find them."""
    end, count = time.monotonic() + DIRECTORY_SECONDS, len(scene.base.users)
    visible = "select count(*) from directory where visible"
    wanted = count - scene.base.kinds["banned"]
    while (found := await scene.value(visible, database="contacts")) < wanted:
        must(time.monotonic() < end, f"only {found} of {wanted} users are in the directory")
        await asyncio.sleep(0.5)
    must(found == wanted, f"{found} users are in the directory, not {wanted}")
    return f"{found} users are in the directory; banned ones are not"


async def use_old_sessions(scene: Scene) -> str:
    """Users who were logged in stay so: the tokens of the other system open their sessions."""
    return await use_old_tokens(scene)


async def log_in(scene: Scene) -> str:
    """Users of each kind log in with their old passwords through each contract that can compare them."""
    return await log_in_everywhere(scene, scene.stack.url("gateway"))


async def export(scene: Scene) -> str:
    """All users leave in the format in which they came."""
    started, count = time.monotonic(), await scene.value("select count(*) from accounts where phone is not null")
    await scene.command("export", str(scene.exported))
    seconds = time.monotonic() - started
    lines = await asyncio.to_thread(_count_lines, scene.exported)
    must(lines == count, f"{lines} lines of {count} users")
    return f"{lines} users, {lines / seconds:.0f} a second, {scene.exported.stat().st_size / 2**20:.0f} MiB"


async def move_on(scene: Scene) -> str:
    """The export goes into another Haoma with the same peppers, which exports the same again."""
    again = scene.folder / "again.ndjson"
    await scene.command("migrate", database=NEW_DATABASE)
    started, words = time.monotonic(), ("import", str(scene.exported), "--rate", RATE)
    output = await scene.command(*words, database=NEW_DATABASE)
    seconds = time.monotonic() - started
    await scene.command("export", str(again), database=NEW_DATABASE)
    same = await asyncio.to_thread(filecmp.cmp, again, scene.exported, shallow=False)
    must(same, "the other system exports something else than it has imported")
    auth = scene.launch("auth-service", "rehearsal-new-auth", scene.database(NEW_DATABASE))
    gateway = scene.launch("gateway", "rehearsal-new-gateway", {"AUTH_URL": auth})
    text = await log_in_everywhere(scene, gateway, moved=True)
    return f"{output.partition(' users')[0]} users, {len(scene.base.users) / seconds:.0f} a second; {text}"


STEPS: Sequence[Step] = (
    Step("make an old base", make_base),
    Step("dry run", dry_run),
    Step("import", import_users),
    Step("import again", import_again),
    Step("events", follow_events),
    Step("old sessions", use_old_sessions),
    Step("log in", log_in),
    Step("export", export),
    Step("into another Haoma", move_on),
)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _refused(scene: Scene) -> list[str]:
    """The reasons of the lines that were refused."""
    errors = scene.users.with_name(f"{scene.users.name}.errors").read_text()
    return [json.loads(line)["reason"] for line in errors.splitlines()]
