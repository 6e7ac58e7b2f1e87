"""What `make mutation` found untested in the rotation of refresh tokens: the contents of tokens and of the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from joserfc import jws
from structlog.testing import capture_logs

from auth_service.sessions.token_digests import TokenDigests
from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_tokens import RefreshTokens, TokenRecord
from shared.errors import ServiceError
from shared.keys import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCESS_TOKENS = AccessTokens(KeyRing.parse("1:" + "11" * 32), "haoma")


@dataclass
class Session:
    """A session whose every token has the same record."""

    stored: TokenRecord
    token_hash: bytes = b"h" * 32
    session_id: UUID = field(default_factory=uuid4)
    user_id: int = 2**50
    generation: int = 0

    async def add_first(self, *_: bytes) -> tuple[UUID, int]:
        return self.session_id, self.user_id

    @asynccontextmanager
    async def locked_family(self, *_: object) -> AsyncIterator["Session"]:
        yield self

    async def find(self, _: bytes) -> TokenRecord:
        return self.stored

    async def replace(self, *_: bytes) -> None:
        pass

    async def end_session(self) -> None:
        pass

    async def record(self, *_: object) -> None:
        pass

    async def record_unproven(self, *_: object) -> None:
        pass


def tokens(session: Session) -> RefreshTokens:
    digests = TokenDigests(b"k" * 32)
    return RefreshTokens(session, access_tokens=ACCESS_TOKENS, digests=digests, audit=session, clock=lambda: NOW)


def subject(access_token: str) -> str:
    payload = jws.extract_compact(access_token.encode()).payload
    return payload.decode().partition('"sub":"')[2].partition('"')[0]


async def test_an_access_token_names_its_user_after_a_grant_and_after_a_refresh() -> None:
    session = Session(TokenRecord(salt=None, used_long_ago=False))
    granted = await tokens(session).grant("session token")
    refreshed = await tokens(session).refresh(granted.refresh_token, "")
    assert {subject(each.access_token) for each in (granted, refreshed)} == {str(session.user_id)}


async def test_a_new_chain_begins_with_fresh_tokens_of_its_user_and_session() -> None:
    session = Session(TokenRecord(salt=None, used_long_ago=False))
    first, second = [tokens(session).new_chain(session.user_id, session.session_id, 5) for _ in range(2)]
    assert subject(first.access_token) == str(session.user_id)
    assert ACCESS_TOKENS.session_of(first.access_token, now=NOW) == (session.session_id, 5)
    assert len(first.refresh_token) == 43
    assert first.refresh_token != second.refresh_token


async def test_a_refresh_token_is_256_random_bits_in_base64url() -> None:
    granted = await tokens(Session(TokenRecord(salt=None, used_long_ago=False))).grant("session token")
    assert len(granted.refresh_token) == 43


async def test_the_log_tells_which_session_ended_because_a_token_was_used_after_its_successor() -> None:
    session = Session(TokenRecord(salt=b"s" * 32, used_long_ago=True))
    with capture_logs() as logged, pytest.raises(ServiceError):
        await tokens(session).refresh("replaced token", "")
    assert logged == [
        {
            "event": "session.revoked",
            "log_level": "warning",
            "user_id": session.user_id,
            "session_id": str(session.session_id),
            "cause": "refresh_reuse",
        }
    ]
