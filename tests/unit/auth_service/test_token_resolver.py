"""Resolution of tokens: opaque ones by a digest, ours or another system's, access tokens by their session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from auth_service.sessions.model import TokenSession, hash_token
from auth_service.sessions.token_digests import TokenDigests, TokenHashes, imported_sha256
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
IMPORTED = Resolved(session_id=uuid4(), account=ACCOUNT)
DIGESTS = TokenDigests(b"k" * 32)
OLD_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlIG9mIGFub3RoZXIgc3lzdGVt"
OLD_TOKENS = [
    OLD_JWT, "0f8fad5b-d9cb-469f-a165-70867728950e", "q3k8r4bq7vbcv2m1k0s8d5n1fe", "5d7845ac6ee7cfffafc5fe5f35cf666d",
    "s:J7sN2bQ.9+/k=", "Zm9v+YmFy/MTIzNDU2Nzg5MDEy==",
]  # fmt: skip


@dataclass
class Sessions:
    """A session with the token ``opaque``, and one with the tokens of another system."""

    imported: Sequence[str]

    async def find_by_token(self, token_hashes: TokenHashes) -> Resolved | None:
        if hash_token("opaque") in token_hashes:
            return SESSION
        imported = {DIGESTS.imported(imported_sha256(token)) for token in self.imported}
        return IMPORTED if imported.intersection(token_hashes) else None

    async def find_by_access_token(self, session: TokenSession) -> Resolved | None:
        return SESSION if session == (SESSION.session_id, 0) else None


def resolver(now: datetime = NOW, *imported: str) -> TokenResolver:
    return TokenResolver(Sessions(imported or OLD_TOKENS), ACCESS_TOKENS, DIGESTS, lambda: now)


async def test_an_opaque_token_and_an_access_token_resolve_to_their_session() -> None:
    access_token = ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW)

    assert await resolver().resolve("opaque") is SESSION
    assert await resolver().resolve(access_token) is SESSION


@pytest.mark.parametrize("token", OLD_TOKENS)
async def test_a_token_of_another_system_resolves_in_every_spelling(token: str) -> None:
    assert await resolver().resolve(token) is IMPORTED


async def test_a_token_of_another_system_resolves_with_the_id_of_its_row_before_it() -> None:
    assert await resolver().resolve(f"12|{OLD_TOKENS[1]}") is IMPORTED


async def test_an_access_token_of_ours_resolves_to_its_session_even_if_it_was_imported() -> None:
    """Its digest is not even looked up, so no file can give a token of ours to another user."""
    access_token = ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW)
    assert await resolver(NOW, access_token).resolve(access_token) is SESSION


@pytest.mark.parametrize(
    ("token", "now"),
    [
        (OLD_JWT[:-1] + "A", NOW),
        (OLD_JWT + ".", NOW),
        (DIGESTS.imported(imported_sha256(OLD_JWT)).hex(), NOW),
        (imported_sha256(OLD_JWT).hex(), NOW),
        ("12|opaque", NOW),
        ("unknown", NOW),
        ("a.b.c", NOW),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, uuid4(), now=NOW), NOW),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW), NOW + LIFETIME),
        (ACCESS_TOKENS.sign(ACCOUNT.user_id, SESSION.session_id, now=NOW + timedelta(minutes=1)), NOW),
    ],
    ids=[
        "changed", "prolonged", "a digest", "a SHA-256", "ours with an id",
        "unknown", "malformed", "ended session", "expired", "from the future",
    ],
)  # fmt: skip
async def test_every_other_token_is_refused(token: str, now: datetime) -> None:
    with pytest.raises(ServiceError) as refusal:
        await resolver(now).resolve(token)

    assert refusal.value.code is ErrorCode.UNAUTHENTICATED
