"""The file of details: a line for each broken line, and for each difference of a call."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Self

import orjson

from gateway.shadow.differences.comparison import Difference
from gateway.shadow.recorded.calls import ContractCall

STANDARD_ERROR = Path("-")


class DetailsFile(AbstractContextManager["DetailsFile"]):
    """``replay.Output`` over a file of JSON lines, to which a run that goes on appends. Without a path it is nothing.

    Its methods raise ``OSError``.
    """

    def __init__(self, path: Path | None, *, append: bool = False) -> None:
        self._path = path
        self._mode = "ab" if append else "wb"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._path == STANDARD_ERROR:
            self._file = os.fdopen(os.dup(2), "wb")
        elif self._path is not None:
            self._file = self._path.open(self._mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def broken(self, line: int, reason: str) -> None:
        """A line is no recorded call."""
        self._write({"line": line, "broken": reason})

    def differences(self, line: int, call: ContractCall, differences: list[Difference], follows: int | None) -> None:
        """The answers to a call differ, perhaps because those of an earlier line did."""
        after = {"follows": follows} if follows is not None else {}
        for each in differences:
            self._write({"line": line, "call": call.name, **vars(each), **after})

    def flush(self) -> None:
        """Write what is in memory."""
        if self._file is not None:
            self._file.flush()

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
