"""The events about a user: ``auth.user.*`` and ``auth.password.changed``."""

from auth_service.accounts.model import NewAccount, StoredAccount
from auth_service.client_context import ClientContext
from shared.events.catalogue import PasswordChanged, UserDeleted, UserRegistered, UserRetired, UserSnapshot, UserUpdated
from shared.events.envelope import OutboxMessage, new_event
from shared.events.logins import BanImposed, BanLifted
from shared.events.words import PasswordCause
from shared.internal_api.auth import Account
from shared.phone import E164, PhoneKeys, mask, ref_hex, split

SOURCE = "auth-service"


def user_registered(account: NewAccount, phone_ref: int) -> OutboxMessage:
    """A new account, at version 1."""
    country, _ = split(account.phone)
    data = UserRegistered(
        user_id=str(account.user_id),
        phone_ref=ref_hex(phone_ref),
        phone_masked=mask(account.phone),
        country=country,
        nickname=account.nickname,
        avatar="",
        discoverable=True,
        disabled=False,
        dialect=account.registered_with.dialect,
        client=account.registered_with.client,
    )
    return new_event(data, source=SOURCE, subject=data.user_id, version=1)


def user_updated(stored: StoredAccount, phones: PhoneKeys) -> OutboxMessage:
    """A changed account, as it is after the change."""
    account = stored.account
    return _snapshot(
        UserUpdated,
        stored,
        phones,
        version=account.version,
        nickname=account.nickname,
        avatar=account.avatar,
        discoverable=account.discoverable,
        disabled=stored.is_banned,
    )


def user_deleted(stored: StoredAccount, phones: PhoneKeys) -> OutboxMessage:
    """An erased account, without its nickname and avatar, at a version above every earlier one."""
    version = stored.account.version + 1
    return _snapshot(
        UserDeleted, stored, phones, version=version, nickname="", avatar="", discoverable=False, disabled=True
    )


def retired_user_deleted(user_id: int, version: int, registered_with: ClientContext) -> OutboxMessage:
    """An erased account that had lost its number before: the event names none, because it is someone else's by now."""
    data = UserDeleted(
        user_id=str(user_id),
        phone_ref="",
        phone_masked="",
        country="",
        nickname="",
        avatar="",
        discoverable=False,
        disabled=True,
        dialect=registered_with.dialect,
        client=registered_with.client,
    )
    return new_event(data, source=SOURCE, subject=data.user_id, version=version + 1)


def user_retired(stored: StoredAccount, phones: PhoneKeys) -> OutboxMessage:
    """An account that has lost its number, as it is from now on. The event still names that number."""
    account = stored.account
    return _snapshot(
        UserRetired,
        stored,
        phones,
        version=account.version + 1,
        nickname=account.nickname,
        avatar=account.avatar,
        discoverable=False,
        disabled=True,
    )


def _snapshot(
    kind: type[UserSnapshot],
    stored: StoredAccount,
    phones: PhoneKeys,
    *,
    version: int,
    nickname: str,
    avatar: str,
    discoverable: bool,
    disabled: bool,
) -> OutboxMessage:
    """An event with the number and the origin of an account, and with what the event says of the rest."""
    phone = E164(stored.account.phone)
    country, _ = split(phone)
    data = kind(
        user_id=str(stored.account.user_id),
        phone_ref=ref_hex(phones.ref(phone)),
        phone_masked=mask(phone),
        country=country,
        nickname=nickname,
        avatar=avatar,
        discoverable=discoverable,
        disabled=disabled,
        dialect=stored.registered_with.dialect,
        client=stored.registered_with.client,
    )
    return new_event(data, source=SOURCE, subject=data.user_id, version=version)


def password_changed(user_id: int, version: int, cause: PasswordCause, sessions_revoked: int) -> OutboxMessage:
    """A new password. ``version`` is the account's version after the change."""
    data = PasswordChanged(user_id=str(user_id), cause=cause, sessions_revoked=sessions_revoked)
    return new_event(data, source=SOURCE, subject=data.user_id, version=version)


def ban_imposed(account: Account, sessions_revoked: int) -> OutboxMessage:
    """An account as it was banned."""
    data = BanImposed(user_id=str(account.user_id), sessions_revoked=sessions_revoked)
    return new_event(data, source=SOURCE, subject=data.user_id, version=account.version)


def ban_lifted(account: Account) -> OutboxMessage:
    """An account whose ban was lifted."""
    data = BanLifted(user_id=str(account.user_id))
    return new_event(data, source=SOURCE, subject=data.user_id, version=account.version)
