"""The copy of a user's data: its body, and the body as it is sent, page by page."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from pydantic import BaseModel

from gateway.flows.personal_data.export import PersonalData as CollectedData
from gateway.flows.session_cache import Session as ResolvedSession
from gateway.http.operations import Moment, ResponseBody
from gateway.native.responses import Session
from shared.internal_api.auth import Gender
from shared.internal_api.personal_data.account import PersonalAccount
from shared.internal_api.sms import Purpose


class StoredAccount(ResponseBody):
    """Every field of the account, but for the hash of its password."""

    user_id: int
    phone: str
    name: str | None
    nickname: str
    gender: Gender
    motto: str
    avatar: str
    thumbnail: str
    cover: str
    email: str
    level: int
    type: int
    discoverable: bool
    created_at: Moment
    updated_at: Moment
    last_login_at: Moment
    last_used_at: Moment | None
    registered_with: str
    registered_by: str
    has_password: bool
    password_changed_at: Moment
    is_imported: bool
    known_networks: int


class DirectoryEntry(ResponseBody):
    """What others find of the user in contact matching."""

    nickname: str
    avatar: str
    visible: bool
    updated_at: Moment


class LookUps(ResponseBody):
    """How much of the budget for contact matching is used."""

    numbers: int
    last_at: Moment | None


class StoredContacts(ResponseBody):
    entry: DirectoryEntry | None
    look_ups: LookUps


class CodeMessage(ResponseBody):
    requested_at: Moment
    purpose: Purpose
    dialect: str
    client: str
    language: str
    state: str
    sender: str
    finished_at: Moment | None


class CodeEvent(ResponseBody):
    at: Moment
    kind: str
    purpose: Purpose
    dialect: str
    network: str
    detail: str


class Activity(ResponseBody):
    at: Moment
    action: str
    detail: str
    session_id: UUID | None
    network: str
    dialect: str
    client: str
    by_operator: bool


class _ShortData(ResponseBody):
    """What is sent at once."""

    exported_at: Moment
    account: StoredAccount
    sessions: list[Session]
    contacts: StoredContacts
    messages: list[CodeMessage]


class PersonalData(_ShortData):
    """What the services store about the user. The last two lists may be long."""

    code_events: list[CodeEvent]
    activity: list[Activity]


async def body_of(data: CollectedData, session: ResolvedSession) -> AsyncIterator[bytes]:
    """The JSON of a ``PersonalData``: what is short first, and then each page as soon as it is read."""
    yield _short(data, session).model_dump_json(by_alias=True).encode().removesuffix(b"}")
    async for part in _list("code_events", CodeEvent, data.code_events):
        yield part
    async for part in _list("activity", Activity, data.activity):
        yield part
    yield b"}"


async def _list(
    name: str, model: type[ResponseBody], pages: AsyncIterator[Sequence[BaseModel]]
) -> AsyncIterator[bytes]:
    """A field with a list, from the comma before it."""
    yield f',"{name}":['.encode()
    comma = b""
    async for page in pages:
        rows = [model.model_validate(row).model_dump_json().encode() for row in page]
        if rows:
            yield comma + b",".join(rows)
            comma = b","
    yield b"]"


def _short(data: CollectedData, session: ResolvedSession) -> _ShortData:
    account = data.account
    sessions = [{**each.model_dump(), "current": each.session_id == session.session_id} for each in account.sessions]
    return _ShortData(
        exported_at=account.exported_at,
        account=StoredAccount.model_validate(_account_fields(account)),
        sessions=[Session.model_validate(each) for each in sessions],
        contacts=StoredContacts.model_validate(data.contacts),
        messages=[CodeMessage.model_validate(each) for each in data.messages],
    )


def _account_fields(account: PersonalAccount) -> dict[str, object]:
    """The account and what is stored beside it, in one."""
    fields = account.account.model_dump() | account.model_dump(exclude={"account", "sessions"})
    return {name: fields[name] for name in StoredAccount.model_fields}
