"""``make check``: no revision may lock a table that requests use, or take away what the release before it uses.

Squawk judges the SQL of each revision, one file for each, as alembic prints it. A revision that takes something away
(the second half of "expand and contract") must say so: its ``works_from`` is later than that of the revision before.
"""

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("auth_service", "sms_service", "contacts_service")
FOLDER = ROOT / ".local" / "migrations"
OFF = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",  # a revision is one transaction
    "prefer-text-field",
    "require-statement-timeout",  # what reads all rows under a lock is refused by rules of its own
)
"""Rules of taste, and those that others make needless."""
CONTRACTING = ("ban-drop-column", "ban-drop-table")
"""What only a revision with a later ``works_from`` may do."""


@dataclass(frozen=True)
class Revision:
    """One revision of a service, and the one before it, which is None for the first."""

    package: str
    name: str
    works_from: str
    previous: "Revision | None"

    @property
    def contracts(self) -> bool:
        """Whether older code stops working with the schema."""
        return self.previous is not None and self.works_from > self.previous.works_from


def revisions(package: str) -> list[Revision]:
    """The revisions of a service, oldest first."""
    found: list[Revision] = []
    scripts: list[Script] = list(ScriptDirectory.from_config(_config(package)).walk_revisions())
    for script in reversed(scripts):
        works_from = str(getattr(script.module, "works_from", ""))
        found.append(Revision(package, script.revision, works_from, found[-1] if found else None))
    return found


def sql_of(revision: Revision) -> str:
    """What ``migrate`` executes for a revision."""
    output = io.StringIO()
    previous = revision.previous.name if revision.previous else "base"
    command.upgrade(_config(revision.package, output), f"{previous}:{revision.name}", sql=True)
    return output.getvalue()


def complaints(revision: Revision) -> str:
    """What is wrong with the line of revisions here: their names, and from which one on code works."""
    previous = revision.previous
    expected = f"{int(previous.name) + 1:04d}" if previous else "0001"
    oldest, newest = (previous.works_from, previous.name) if previous else ("0001", "0001")
    where = f"{revision.package} {revision.name}"
    if revision.name != expected:
        return f"{where}: the revision after {previous and previous.name} is {expected}"
    if not oldest <= revision.works_from <= newest:
        return f"{where}: works_from is the oldest revision whose code works with this schema, {oldest} to {newest}"
    return ""


def squawk(sql: str, name: str, *, contracts: bool = False) -> str:
    """What Squawk objects to; empty if nothing."""
    file = FOLDER / f"{name}.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sql)
    off = ",".join((*OFF, *CONTRACTING) if contracts else OFF)
    program = Path(sys.executable).with_name("squawk")
    options = ("--pg-version=15", "--reporter=gcc", f"--exclude={off}")
    run = subprocess.run([program, *options, file], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr if run.returncode else ""


def _config(package: str, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", f"{package}:migrations")
    return config


def main() -> int:
    found = [revision for package in PACKAGES for revision in revisions(package)]
    problems = [
        complaints(revision)
        or squawk(sql_of(revision), f"{revision.package}-{revision.name}", contracts=revision.contracts)
        for revision in found
    ]
    sys.stdout.write("\n".join(filter(None, problems)))
    return 1 if any(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
