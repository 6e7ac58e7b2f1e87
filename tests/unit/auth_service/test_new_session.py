"""The token of a session: what it is made of, and what is stored of it."""

import secrets
from hashlib import sha256

import pytest

from auth_service.client_context import ClientContext
from auth_service.sessions.model import NewSession
from shared.encoding import from_base64url

CONTEXT = ClientContext(client="native", dialect="native", network="203.0.113.0/24")


def test_a_session_token_is_256_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [bytes(range(32)), bytes(range(32, 64))]
    monkeypatch.setattr(secrets, "token_bytes", lambda size: drawn.pop(0) if size == 32 else b"")

    sessions = [NewSession(1, CONTEXT), NewSession(1, CONTEXT)]

    assert [from_base64url(each.token) for each in sessions] == [bytes(range(32)), bytes(range(32, 64))]


def test_only_the_hash_of_a_token_is_stored_and_the_token_is_not_printed() -> None:
    session = NewSession(1, CONTEXT)
    assert session.token_hash == sha256(session.token.encode()).digest()
    assert session.token not in repr(session)
