"""Rotation of refresh tokens, over a family in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from auth_service.audit import AuditEntry
from auth_service.sessions.model import hash_token
from auth_service.sessions.token_digests import TokenDigests, TokenHashes, imported_sha256
from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_tokens import RefreshTokens, TokenRecord
from shared.errors import ErrorCode, ServiceError
from shared.keys import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NETWORK = "203.0.113.0/24"
ACCESS_TOKENS = AccessTokens(KeyRing.parse("1:" + "11" * 32), "haoma")
DIGESTS = TokenDigests(b"k" * 32)


@dataclass
class Family:
    """The refresh tokens of one session. ``used_long_ago`` has the tokens whose use is more than 30 seconds ago."""

    session_token: str = "session token"
    token_hash: bytes = b""
    session_id: UUID = field(default_factory=uuid4)
    user_id: int = 2**50
    generation: int = 0
    salts: dict[bytes, bytes | None] = field(default_factory=dict)
    used_long_ago: set[bytes] = field(default_factory=set)
    ended: bool = False
    committed: bool = False
    recorded: list[str] = field(default_factory=list)

    async def add_first(self, session_token_hash: bytes, token_hash: bytes) -> tuple[UUID, int] | None:
        if session_token_hash != hash_token(self.session_token) or self.ended:
            return None
        self.salts[token_hash] = None
        return self.session_id, self.user_id

    @asynccontextmanager
    async def locked_family(self, token_hashes: TokenHashes, _: str) -> AsyncIterator["Family | None"]:
        self.committed = False
        self.token_hash = next((each for each in token_hashes if each in self.salts), b"")
        yield self if self.token_hash and not self.ended else None
        self.committed = True  # not reached when the block raises

    async def find(self, token_hash: bytes) -> TokenRecord | None:
        if token_hash not in self.salts:
            return None
        return TokenRecord(self.salts[token_hash], used_long_ago=token_hash in self.used_long_ago)

    def wait(self) -> None:
        """Let 30 seconds pass."""
        self.used_long_ago = {token_hash for token_hash, salt in self.salts.items() if salt}

    async def replace(self, token_hash: bytes, salt: bytes, successor_hash: bytes) -> None:
        assert self.salts[token_hash] is None
        self.salts[token_hash] = salt
        self.salts[successor_hash] = None

    async def end_session(self) -> None:
        self.ended = True

    async def record(self, outcome: str) -> None:
        self.recorded.append(outcome)

    async def record_unproven(self, entry: AuditEntry) -> None:
        self.recorded.append(f"{entry.action} {entry.detail}{entry.context.network}")


@pytest.fixture
def family() -> Family:
    return Family()


def tokens(family: Family) -> RefreshTokens:
    return RefreshTokens(family, access_tokens=ACCESS_TOKENS, digests=DIGESTS, audit=family, clock=lambda: NOW)


async def first(family: Family) -> str:
    return (await tokens(family).grant(family.session_token)).refresh_token


async def refresh(family: Family, token: str) -> str:
    return (await tokens(family).refresh(token, NETWORK)).refresh_token


async def refused(family: Family, token: str) -> bool:
    with pytest.raises(ServiceError) as refusal:
        await tokens(family).refresh(token, NETWORK)
    return refusal.value.code is ErrorCode.UNAUTHENTICATED


def usable(family: Family) -> set[bytes]:
    return {token_hash for token_hash, salt in family.salts.items() if salt is None}


async def test_a_grant_adds_the_first_token_by_its_hash(family: Family) -> None:
    granted = await tokens(family).grant(family.session_token)

    assert usable(family) == {hash_token(granted.refresh_token)}
    assert granted.expires_in == 900
    assert ACCESS_TOKENS.session_of(granted.access_token, now=NOW) == (family.session_id, family.generation)
    assert len(granted.refresh_token) >= 43  # 256 random bits in base64url


async def test_a_grant_for_an_unknown_session_is_refused(family: Family) -> None:
    with pytest.raises(ServiceError) as refusal:
        await tokens(family).grant("another token")

    assert refusal.value.code is ErrorCode.UNAUTHENTICATED
    assert family.salts == {}


async def test_a_refresh_replaces_the_token_and_signs_for_the_same_session(family: Family) -> None:
    token = await first(family)

    granted = await tokens(family).refresh(token, NETWORK)

    assert granted.refresh_token != token
    assert usable(family) == {hash_token(granted.refresh_token)}
    assert ACCESS_TOKENS.session_of(granted.access_token, now=NOW) == (family.session_id, family.generation)


async def test_two_chains_of_the_same_token_have_different_successors() -> None:
    families = [Family(), Family()]
    token = "the same token"
    for family in families:
        family.salts[hash_token(token)] = None

    assert await refresh(families[0], token) != await refresh(families[1], token)
    assert all(len(salt) == 32 for family in families for salt in family.salts.values() if salt)


async def test_a_repeat_gets_the_same_successor_until_that_is_used_however_late(family: Family) -> None:
    token = await first(family)
    successors = set()

    for _ in range(3):
        successors.add(await refresh(family, token))
        family.wait()

    assert len(successors) == 1
    assert len(usable(family)) == 1
    assert len(family.salts) == 2
    assert not family.ended
    assert await refresh(family, *successors) not in successors


async def test_a_lost_response_late_in_the_life_of_a_session_ends_nothing(family: Family) -> None:
    second = await refresh(family, await first(family))
    third = await refresh(family, second)
    family.wait()

    assert await refresh(family, second) == third
    assert not family.ended


async def test_a_repeat_just_after_further_refreshes_gets_the_usable_token(family: Family) -> None:
    token = await first(family)
    second = await refresh(family, token)
    third = await refresh(family, second)
    fourth = await refresh(family, third)

    assert [await refresh(family, replaced) for replaced in (token, second, third)] == [fourth] * 3
    assert usable(family) == {hash_token(fourth)}


async def test_only_the_use_of_the_successor_has_to_be_recent(family: Family) -> None:
    token = await first(family)
    second = await refresh(family, token)
    family.wait()
    third = await refresh(family, second)

    assert await refresh(family, token) == third
    assert not family.ended


async def test_a_token_used_long_after_its_successor_was_used_ends_the_session(family: Family) -> None:
    token = await first(family)
    third = await refresh(family, await refresh(family, token))
    family.wait()

    assert await refused(family, token)

    assert family.ended
    assert family.committed  # the refusal is raised after the block, or the end would be rolled back
    assert await refused(family, third)


async def test_an_old_token_ends_the_session_although_the_newest_one_was_replaced_just_now(family: Family) -> None:
    token = await first(family)
    third = await refresh(family, await refresh(family, token))
    family.wait()
    await refresh(family, third)

    assert await refused(family, token)
    assert family.ended


async def test_the_usable_token_is_never_too_old(family: Family) -> None:
    token = await first(family)
    successor = await refresh(family, token)
    family.wait()

    assert await refresh(family, successor) != successor
    assert not family.ended


async def test_an_unknown_token_is_refused_and_ends_nothing(family: Family) -> None:
    await first(family)

    assert await refused(family, "unknown")

    assert not family.ended


@pytest.mark.parametrize("uses", [1, 2])
async def test_a_chain_with_a_missing_link_is_refused_and_ends_nothing(family: Family, uses: int) -> None:
    token = last = await first(family)
    for _ in range(uses):
        last = await refresh(family, last)
    del family.salts[hash_token(last)]

    assert await refused(family, token)

    assert not family.ended
    assert family.committed


async def test_a_token_that_is_deleted_before_its_family_is_locked_is_refused(family: Family) -> None:
    token = await first(family)

    class Deleted(Family):
        async def find(self, _: bytes) -> None:
            return None

    deleted = Deleted(salts=family.salts)

    assert await refused(deleted, token)
    assert not deleted.ended
    assert deleted.recorded == ["refused"]


async def test_the_audit_log_has_what_changed_nothing(family: Family) -> None:
    token = await first(family)
    second = await refresh(family, token)
    assert family.recorded == []  # what was used is written with the change
    assert await refresh(family, token) == second
    assert family.recorded == ["repeated"]
    await refused(family, "unknown")
    assert family.recorded[1:] == [f"refresh_token.refused {NETWORK}"]
    with pytest.raises(ServiceError):
        await tokens(family).grant("another token")
    assert family.recorded[2:] == ["refresh_token.refused grant"]


async def test_the_audit_log_has_a_chain_with_a_missing_link(family: Family) -> None:
    token = await first(family)
    del family.salts[hash_token(await refresh(family, token))]
    await refused(family, token)
    assert family.recorded == ["refused"]


@pytest.mark.parametrize("old", ["12|kT3n8vQ0xZr5mW7pL2sD9fG4hJ6bC1yA", "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"])
async def test_a_token_of_another_system_is_exchanged_for_ours_and_gives_the_same_again(
    family: Family, old: str
) -> None:
    family.salts[DIGESTS.imported(imported_sha256(old))] = None

    first = await refresh(family, old)
    assert await refresh(family, old) == first
    second = await refresh(family, first)

    assert usable(family) == {hash_token(second)}


async def test_a_token_of_another_system_that_is_exchanged_long_after_its_successor_was_used_ends_the_session(
    family: Family,
) -> None:
    old = "q3k8r4bq7vbcv2m1k0s8d5n1fe"
    family.salts[DIGESTS.imported(imported_sha256(old))] = None
    await refresh(family, await refresh(family, old))
    family.wait()

    assert await refused(family, old)
    assert family.ended
