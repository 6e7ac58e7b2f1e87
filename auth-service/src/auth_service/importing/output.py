"""The files that an import writes: refused lines with their reason, and the user ids of users with another id."""

import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, Any, Self

import orjson

from auth_service.importing.refusals import LineRefusedError

STANDARD_ERROR = Path("-")
OWNER_ONLY = 0o600
"""An id of another system may be a number or an address."""


class OutputFiles(AbstractContextManager["OutputFiles"]):
    """``report.Output`` over files of JSON lines, which each run writes anew. Every method raises ``OSError``.

    The path ``-`` is standard error. A line of ``errors`` has ``line``, ``reason`` and perhaps ``detail``; a line of
    ``ids`` has ``id`` and ``user_id``.
    """

    def __init__(self, errors: Path, ids: Path | None = None) -> None:
        self._paths = errors, ids
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        errors, ids = self._paths
        self._errors = self._stack.enter_context(_opened(errors))
        self._ids: IO[bytes] | None = self._stack.enter_context(_opened(ids)) if ids else None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def refused(self, line: int, error: LineRefusedError) -> None:
        """Name a line that was not imported."""
        detail = {"detail": error.detail} if error.detail else {}
        self._write(self._errors, {"line": line, "reason": error.reason, **detail})

    def mapped(self, legacy_id: int | str, user_id: int) -> None:
        """Name the user id of a user, if it is another one than in the file."""
        if self._ids is not None and legacy_id != user_id:
            self._write(self._ids, {"id": legacy_id, "user_id": user_id})

    def flush(self) -> None:
        """Write what is in memory."""
        self._errors.flush()
        if self._ids is not None:
            self._ids.flush()

    def _write(self, file: IO[bytes], record: dict[str, Any]) -> None:
        file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def _opened(path: Path) -> IO[bytes]:
    if path == STANDARD_ERROR:
        return os.fdopen(os.dup(2), "wb")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb")
