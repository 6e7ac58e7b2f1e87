"""``make secrets``: write the secret files of ``docker-compose.yml`` that are missing."""

from pathlib import Path

from stack.secret_files import write_missing


def secrets(folder: Path) -> int:
    """Write the missing files into ``folder`` and print how many. Those that exist stay."""
    made = write_missing(folder)
    print(f"{folder}: {len(made)} files written" if made else f"{folder}: all files exist, nothing changed")
    return 0
