"""The events auth-service tells the world, built from its own values."""

from typing import Literal

from auth_service.accounts.model import EndedSession, NewAccount, NewSession, StoredAccount
from shared.event_catalogue import (
    PasswordChanged,
    SessionOpened,
    SessionRevoked,
    UserDeleted,
    UserRegistered,
    UserUpdated,
)
from shared.events import OutboxMessage, new_event
from shared.phone import E164, PhoneKeys, mask, ref_hex, split

SOURCE = "auth-service"
OPENED, REVOKED = 1, 2
"""The versions of a session: it has a beginning and an end, and nothing in between."""


def registered(account: NewAccount, phone_ref: int) -> OutboxMessage:
    """A new account, at version 1."""
    country, _ = split(account.phone)
    fact = UserRegistered(
        user_id=str(account.user_id),
        phone_ref=ref_hex(phone_ref),
        phone_masked=mask(account.phone),
        country=country,
        nickname=account.nickname,
        avatar="",
        discoverable=True,
        disabled=False,
        dialect=account.origin.dialect,
        client=account.origin.client,
    )
    return new_event(fact, source=SOURCE, subject=fact.user_id, version=1)


def updated(user: StoredAccount, phones: PhoneKeys) -> OutboxMessage:
    """An account as it is after something about it changed."""
    account = user.account
    number = E164(account.phone)
    country, _ = split(number)
    fact = UserUpdated(
        user_id=str(account.user_id),
        phone_ref=ref_hex(phones.ref(number)),
        phone_masked=mask(number),
        country=country,
        nickname=account.nickname,
        avatar=account.avatar,
        discoverable=account.discoverable,
        disabled=user.banned,
        dialect=user.origin.dialect,
        client=user.origin.client,
    )
    return new_event(fact, source=SOURCE, subject=fact.user_id, version=account.version)


def deleted(user: StoredAccount, phones: PhoneKeys) -> OutboxMessage:
    """An account that is gone, at a version above all it ever had; what it called itself is not told again."""
    account = user.account
    number = E164(account.phone)
    country, _ = split(number)
    fact = UserDeleted(
        user_id=str(account.user_id),
        phone_ref=ref_hex(phones.ref(number)),
        phone_masked=mask(number),
        country=country,
        nickname="",
        avatar="",
        discoverable=False,
        disabled=True,
        dialect=user.origin.dialect,
        client=user.origin.client,
    )
    return new_event(fact, source=SOURCE, subject=fact.user_id, version=account.version + 1)


def password_changed(
    user_id: int, version: int, cause: Literal["reset", "change"], sessions_revoked: int
) -> OutboxMessage:
    """A new password; ``version`` is the account's after it."""
    fact = PasswordChanged(user_id=str(user_id), cause=cause, sessions_revoked=sessions_revoked)
    return new_event(fact, source=SOURCE, subject=fact.user_id, version=version)


def session_opened(session: NewSession, cause: str) -> OutboxMessage:
    """A session began."""
    fact = SessionOpened(
        user_id=str(session.user_id), session_id=str(session.session_id), cause=cause, client=session.origin.client
    )
    return new_event(fact, source=SOURCE, subject=fact.session_id, version=OPENED)


def session_revoked(session: EndedSession, cause: str) -> OutboxMessage:
    """A session ended before its time."""
    fact = SessionRevoked(
        user_id=str(session.user_id), session_id=str(session.session_id), cause=cause, client=session.client
    )
    return new_event(fact, source=SOURCE, subject=fact.session_id, version=REVOKED)
