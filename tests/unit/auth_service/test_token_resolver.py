"""Resolution of tokens: opaque ones by their hash, access tokens by the session that they name."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from auth_service.sessions.model import hash_token
from auth_service.tokens.access_tokens import LIFETIME, AccessTokens
from auth_service.tokens.token_resolver import TokenResolver
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, Resolved
from shared.keys import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCESS_TOKENS = AccessTokens(KeyRing.parse("1:" + "11" * 32), "haoma")
ACCOUNT = Account(
    user_id=2**50, phone="+8613800138000", nickname="", avatar="", thumbnail="", cover="",
    created_at=NOW, updated_at=NOW, last_login_at=NOW, version=1,
)  # fmt: skip
SESSION = Resolved(session_id=uuid4(), account=ACCOUNT)


class Sessions:
    """One session, with the token ``opaque``."""

    async def find_by_token(self, token_hash: bytes) -> Resolved | None:
        return SESSION if token_hash == hash_token("opaque") else None

    async def find_by_id(self, session_id: UUID) -> Resolved | None:
        return SESSION if session_id == SESSION.session_id else None


def resolver(now: datetime = NOW) -> TokenResolver:
    return TokenResolver(Sessions(), ACCESS_TOKENS, lambda: now)


async def test_an_opaque_token_and_an_access_token_resolve_to_their_session() -> None:
    access_token = ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW)

    assert await resolver().resolve("opaque") is SESSION
    assert await resolver().resolve(access_token) is SESSION


@pytest.mark.parametrize(
    ("token", "now"),
    [
        ("unknown", NOW),
        ("a.b.c", NOW),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, uuid4(), now=NOW), NOW),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW), NOW + LIFETIME),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW + timedelta(minutes=1)), NOW),
    ],
    ids=["unknown", "malformed", "ended session", "expired", "from the future"],
)
async def test_every_other_token_is_refused(token: str, now: datetime) -> None:
    with pytest.raises(ServiceError) as refusal:
        await resolver(now).resolve(token)

    assert refusal.value.code is ErrorCode.UNAUTHENTICATED
