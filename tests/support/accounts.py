"""Accounts as auth-service returns them, for tests that need one without a database."""

from datetime import UTC, datetime
from typing import Any

from shared.internal_api.auth import Account

CREATED_AT = datetime(2026, 11, 20, tzinfo=UTC)


def account(**fields: Any) -> Account:
    """An account with the given fields, and plausible values in the others."""
    defaults = {
        "user_id": 1,
        "phone": "+8613800138000",
        "nickname": "张三",
        "avatar": "",
        "thumbnail": "",
        "cover": "",
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
        "last_login_at": CREATED_AT,
        "version": 1,
    }
    return Account(**defaults | fields)
