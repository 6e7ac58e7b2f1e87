"""What became of the lines: counts for the operator, and the refused lines for the file of errors."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from auth_service.imported_sessions.model import SessionOutcome
from auth_service.importing.candidates import Candidate
from auth_service.importing.judgement import SessionsOfUser
from auth_service.importing.refusals import LineRefusedError, Reason
from shared.phone import split

NO_PASSWORD = "no password"  # noqa: S105  a word of the report


class Output(Protocol):
    """Where lines are named one by one."""

    def refused(self, line: int, error: LineRefusedError) -> None:
        """A line was not imported."""

    def mapped(self, legacy_id: int | str, user_id: int) -> None:
        """A user of the file has this user id."""


@dataclass
class Report:
    """The counts so far.

    ``present`` are lines of users who were imported before, or by an earlier line, ``erased`` of those erased since.
    """

    imported: int = 0
    present: int = 0
    erased: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    sessions: Counter[SessionOutcome] = field(default_factory=Counter)
    needs_plain: int = 0

    @property
    def lines(self) -> int:
        """How many lines were read, without empty ones."""
        return self.imported + self.present + self.erased + self.refused.total()

    def count_import(self, candidate: Candidate) -> None:
        """A candidate was imported, or in a dry run would be."""
        self.imported += 1
        password, recipe = candidate.user.password, candidate.recipe
        self.formats[password.format if password else NO_PASSWORD] += 1
        self.countries[split(candidate.phone)[0]] += 1
        self.needs_plain += recipe is not None and recipe.needs_plain

    def count_sessions(self, sessions: SessionsOfUser) -> None:
        """The sessions of a user were added, or in a dry run would be, or not."""
        self.sessions.update(sessions.counts)

    def texts(self, *, dry_run: bool) -> list[str]:
        """The report, a line each."""
        would = "would be imported" if dry_run else "imported"
        present = f"{self.present} were imported before or twice in the file"
        return [
            f"{self.imported} users {would}, {present}, {self.erased} were erased since",
            *_listed("passwords", self.formats),
            f"  {self.needs_plain} of them log in with plain text only, until their first log-in",
            *_listed("countries", self.countries, "+"),
            *_listed("sessions", +self.sessions),
            *_listed(f"{self.refused.total()} lines refused", self.refused),
        ]


def _listed(
    title: str, counts: "Counter[str] | Counter[Reason] | Counter[SessionOutcome]", prefix: str = ""
) -> list[str]:
    return [f"{title}:", *(f"  {prefix}{name}: {count}" for name, count in counts.most_common())] if counts else []
