"""The bodies of responses."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from gateway.http.operations import Moment, ResponseBody
from shared.internal_api.auth import Gender


class CodeSent(ResponseBody):
    challenge: str
    expires_in: int
    resend_after: int


class CodeChecked(ResponseBody):
    ticket: str
    expires_in: int


class Account(ResponseBody):
    user_id: int
    phone: str
    nickname: str
    gender: Gender
    motto: str
    avatar: str
    discoverable: bool
    created_at: Moment


class Tokens(ResponseBody):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token (RFC 6750)
    expires_in: int
    refresh_token: str


class Registered(ResponseBody):
    account: Account
    tokens: Tokens


class Session(ResponseBody):
    id: UUID = Field(validation_alias="session_id")
    client: str
    dialect: str
    opened_at: Moment
    current: bool


class SessionList(ResponseBody):
    sessions: list[Session]
