"""Builds an import, or a dry run, with the resources that it needs."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Protocol

from auth_service.audit import Operator
from auth_service.clock import utc_now
from auth_service.digests.model import ForeignDigest, PresentedPassword
from auth_service.importing.candidates import CandidateReader, Countries, LegacyMarks
from auth_service.importing.importer import DryRun, Importer
from auth_service.importing.known_passwords import KnownPasswords
from auth_service.importing.lines import LineBatch
from auth_service.importing.output import OutputFiles
from auth_service.importing.refusal_time import RUNS, RefusalTimes
from auth_service.importing.report import Report
from auth_service.importing.store import ImportStore
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.own_format import OwnFormat
from auth_service.sessions.token_digests import TokenDigests
from auth_service.settings import AuthSettings
from shared import postgres
from shared.keys import KeyRing
from shared.phone import PhoneKeys

SHARE = ("import", "import", "import")
"""The one share of the hashing threads that this process has."""
NO_END = float(2**31)


class BatchRun(Protocol):
    """An import, or a dry run."""

    async def run(self, batch: LineBatch) -> None: ...


@dataclass(frozen=True)
class Import:
    """What to import, for whom, and where it is reported."""

    countries: Countries
    operator: Operator
    known_passwords: KnownPasswords
    is_dry_run: bool
    threads: int
    report: Report
    output: OutputFiles


class Hashing:
    """Our hashes, made in all threads."""

    def __init__(self, passwords: PasswordHasher) -> None:
        self._passwords = passwords

    async def wrap_all(self, digests: Sequence[ForeignDigest]) -> Sequence[str]:
        """The hash of each digest, in their order."""
        slot = HashingSlot(SHARE, NO_END)
        return await asyncio.gather(*(self._passwords.wrap(slot, digest) for digest in digests))

    async def matches(self, password_hash: str, password: PresentedPassword) -> bool:
        """Whether one of our own hashes is that of the password."""
        slot = HashingSlot(SHARE, NO_END)
        return (await self._passwords.verify(slot, password_hash, password.secret, password.plain)).matches

    async def seconds(self) -> float:
        """How long one hash takes on a quiet machine: the CPU time of the fastest of some."""
        return min([await self._measure() for _ in range(RUNS)])

    async def _measure(self) -> float:
        started = time.process_time()
        await self._passwords.hash(HashingSlot(SHARE, NO_END), "")
        return time.process_time() - started


@asynccontextmanager
async def open_run(settings: AuthSettings, described: Import) -> AsyncIterator[BatchRun]:
    """Reach PostgreSQL and start the hashing threads, until the block ends."""
    phone_key = bytes.fromhex(settings.phone_key.get_secret_value())
    phones, peppers = PhoneKeys(phone_key), KeyRing.parse(settings.password_peppers.get_secret_value())
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2, package="auth_service") as pool:
        with closing(HashingPool(described.threads, settings.password_hash_queue)) as hashing_pool:
            hashing = Hashing(PasswordHasher(peppers, hashing_pool))
            reader = CandidateReader(
                phones=phones,
                marks=LegacyMarks(phone_key),
                countries=described.countries,
                refusal_time=RefusalTimes(settings.password_refusal_seconds, await hashing.seconds()),
                own_format=OwnFormat(peppers),
                digests=TokenDigests(phone_key),
                now=utc_now,
            )
            store = ImportStore(pool, phones, settings.nickname_prefix, described.operator)
            yield _run(store, reader, hashing, described)


def _run(store: ImportStore, reader: CandidateReader, hashing: Hashing, described: Import) -> BatchRun:
    report, output = described.report, described.output
    if described.is_dry_run:
        return DryRun(store, reader, described.known_passwords, report, output, matches_hash=hashing.matches)
    return Importer(store, reader, hashing.wrap_all, report, output)
