"""User events become directory entries; other messages are poison."""

import json
from typing import Any

import pytest

from contacts_service.consumer import QUEUE, DirectoryEntry, DirectoryUpdater, read
from shared.amqp import PoisonError
from shared.errors import ServiceError, unavailable
from shared.events.catalogue import UserDeleted, UserRegistered, UserUpdated
from shared.events.envelope import EventData, new_event

SNAPSHOT: dict[str, Any] = {
    "user_id": "140737488355999",
    "phone_ref": "fedcba9876543210",
    "phone_masked": "138****8000",
    "country": "86",
    "nickname": "小明",
    "avatar": "https://pictures/1",
    "discoverable": True,
    "disabled": False,
    "dialect": "tel",
    "client": "ios",
}


def body(kind: type[EventData] = UserRegistered, version: int = 1, **changed: Any) -> bytes:
    return new_event(kind(**SNAPSHOT | changed), source="auth-service", subject="140737488355999", version=version).body


def broken(**changed: Any) -> bytes:
    """An envelope with fields replaced."""
    return json.dumps(json.loads(body()) | changed).encode()


def broken_data(**changed: Any) -> bytes:
    return broken(data=SNAPSHOT | changed)


def test_a_registered_user_is_visible_under_their_reference() -> None:
    entry = read(body())

    assert (entry.user_id, entry.phone_ref, entry.version) == (140737488355999, -0x123456789ABCDF0, 1)
    assert (entry.nickname, entry.avatar, entry.visible) == ("小明", "https://pictures/1", True)
    assert entry.occurred_at.tzinfo is not None


@pytest.mark.parametrize(
    ("discoverable", "disabled", "visible"),
    [(True, False, True), (False, False, False), (True, True, False), (False, True, False)],
)
def test_only_discoverable_and_enabled_users_are_visible(discoverable: bool, disabled: bool, visible: bool) -> None:
    assert read(body(UserUpdated, discoverable=discoverable, disabled=disabled)).visible is visible


def test_the_entry_of_a_deleted_user_has_no_personal_data() -> None:
    entry = read(body(UserDeleted, version=9, phone_ref=""))

    assert (entry.phone_ref, entry.nickname, entry.avatar, entry.visible, entry.version) == (None, "", "", False, 9)


def test_unknown_fields_are_ignored() -> None:
    assert read(broken(traceparent="00-x")).visible
    assert read(broken_data(new_field=1)).visible


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        broken(type="auth.password.changed.v1"),
        broken(type="auth.user.registered.v2"),
        broken(version=None),
        broken(version=-1),
        broken(version=2**31),
        broken(time="yesterday"),
        broken(time="2026-01-01T00:00:00"),
        broken(data=None),
        broken(data={}),
        broken_data(user_id="me"),
        broken_data(user_id="-5"),
        broken_data(user_id="²"),
        broken_data(user_id=str(2**63)),
        broken_data(user_id="9" * 5000),
        broken_data(phone_ref=""),
        broken_data(phone_ref="00"),
        broken_data(phone_ref="x" * 16),
        broken_data(phone_ref="01 23456789abcd "),
        broken_data(nickname="a\0b"),
        broken_data(avatar="\0"),
        broken_data(discoverable="perhaps"),
    ],
)
def test_a_malformed_event_is_poison_and_is_not_quoted(poison: bytes) -> None:
    with pytest.raises(PoisonError) as refusal:
        read(poison)

    assert "13800" not in str(refusal.value)
    assert "小明" not in str(refusal.value)


class MemoryDirectory:
    """Directory entries in memory."""

    def __init__(self) -> None:
        self.by_user: dict[int, DirectoryEntry] = {}

    async def apply(self, entry: DirectoryEntry) -> bool:
        stored = self.by_user.get(entry.user_id)
        newer = stored is None or stored.version < entry.version
        if newer:
            self.by_user[entry.user_id] = entry
        return newer


class LookupHistory:
    """The freed numbers whose look-ups were forgotten. ``is_down`` while it cannot be reached."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []
        self.is_down = False

    async def forget(self, own_ref: int) -> None:
        if self.is_down:
            raise unavailable()
        self.forgotten.append(own_ref)


async def test_only_newer_visible_users_are_added_to_the_filter() -> None:
    added: list[int] = []
    updater = DirectoryUpdater(MemoryDirectory(), added.extend, LookupHistory().forget)

    await updater.handle(body(version=2))
    await updater.handle(body(version=1, phone_ref="00" * 8))
    await updater.handle(body(UserUpdated, version=3, discoverable=False))
    await updater.handle(body(UserDeleted, version=4))

    assert added == [-0x123456789ABCDF0]


async def test_what_a_deleted_user_looked_up_is_forgotten_also_when_the_event_comes_again() -> None:
    history = LookupHistory()
    updater = DirectoryUpdater(MemoryDirectory(), [].extend, history.forget)
    await updater.handle(body(version=1))
    history.is_down = True

    with pytest.raises(ServiceError):
        await updater.handle(body(UserDeleted, version=2))
    history.is_down = False
    await updater.handle(body(UserDeleted, version=2))

    assert history.forgotten == [-0x123456789ABCDF0]


async def test_look_ups_are_not_forgotten_without_a_number() -> None:
    history = LookupHistory()

    updater = DirectoryUpdater(MemoryDirectory(), [].extend, history.forget)

    await updater.handle(body(UserDeleted, phone_ref=""))

    assert history.forgotten == []


def test_the_queue_is_bound_to_every_user_event() -> None:
    assert set(QUEUE.keys) == {
        "auth.user.registered.v1",
        "auth.user.updated.v1",
        "auth.user.deleted.v1",
        "auth.user.retired.v1",
    }
