"""A user as a line of an export. ``docs/moving-in.md`` describes its fields, which are those of an import."""

from datetime import datetime
from typing import Any

import orjson

from auth_service.accounts.model import StoredAccount
from auth_service.passwords.own_format import OwnFormat
from shared.internal_api.auth import Gender

ALWAYS = frozenset({"id", "phone", "nickname", "discoverable", "created_at", "last_seen_at"})
"""The fields that every line has. The others are left out where a line without them means the same."""
SAME_WITHOUT = ("", 0, False, None, Gender.NONE)


def line_of(stored: StoredAccount, banned_until: datetime | None, own_format: OwnFormat) -> bytes:
    """The line, with its end. A password whose pepper is lost is left out, because it can never be compared."""
    account = stored.account
    fields: dict[str, Any] = {
        "id": account.user_id,
        "phone": account.phone,
        "name": account.name,
        "nickname": account.nickname,
        "gender": account.gender,
        "motto": account.motto,
        "avatar": account.avatar,
        "thumbnail": account.thumbnail,
        "cover": account.cover,
        "email": account.email,
        "level": account.level,
        "type": account.type,
        "discoverable": account.discoverable,
        "created_at": account.created_at,
        "last_seen_at": stored.seen_at,
        "banned": stored.is_banned,
        "banned_until": banned_until,
        "password": _password(stored.password_hash, own_format),
    }
    shown = {name: value for name, value in fields.items() if name in ALWAYS or value not in SAME_WITHOUT}
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _password(password_hash: str | None, own_format: OwnFormat) -> dict[str, str] | None:
    format_name = None if password_hash is None else own_format.name_for(password_hash)
    return None if password_hash is None or format_name is None else {"format": format_name, "digest": password_hash}
