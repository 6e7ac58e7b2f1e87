"""Where a run was when it was stopped, so that the next one goes on there."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from zlib import crc32

import orjson

from gateway.shadow.differences.report import Report
from gateway.shadow.recorded.known_values import KnownValues

OWNER_ONLY = 0o600
"""A checkpoint has tokens of the copy."""


class OtherRunError(ValueError):
    """The checkpoint is of another recording or of another system."""


@dataclass
class Progression:
    """A run so far: its place in the recording, its report, and what it knows."""

    line: int = 0
    offset: int = 0
    report: Report = field(default_factory=Report)
    known: KnownValues = field(default_factory=KnownValues)


class CheckpointFile:
    """A checkpoint beside the recording. None of its methods leaves half a file."""

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._run = run

    @classmethod
    def beside(cls, recording: Path, gateway: str) -> Self:
        """The checkpoint of a recording and a gateway. A recording is known by its first line. Raises ``OSError``."""
        with recording.open("rb") as file:
            first = file.readline()
        run = f"{gateway} {crc32(first):08x}"
        return cls(recording.with_name(recording.name + ".shadow"), run)

    def load(self) -> Progression | None:
        """The run that was stopped, if there is one. Raises ``OtherRunError``."""
        if not self._path.exists():
            return None
        try:
            fields = orjson.loads(self._path.read_bytes())
            if fields["run"] != self._run:
                raise OtherRunError(f"{self._path} is of another run: use --restart, or remove it")
            report, known = Report.from_json(fields["report"]), KnownValues.from_json(fields["known"])
            return Progression(fields["line"], fields["offset"], report, known)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, OtherRunError):
                raise
            raise OtherRunError(f"{self._path} is no checkpoint: use --restart, or remove it") from error

    def save(self, run: Progression) -> None:
        """Replace the checkpoint. Raises ``OSError``."""
        fields = {"run": self._run, "line": run.line, "offset": run.offset}
        content = orjson.dumps({**fields, "report": run.report.to_json(), "known": run.known.to_json()})
        new = self._path.with_name(self._path.name + ".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as file:
            file.write(content)
        new.replace(self._path)

    def remove(self) -> None:
        """The run is complete."""
        self._path.unlink(missing_ok=True)
