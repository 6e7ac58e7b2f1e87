"""Events are valid CloudEvents, their keys are unique and versioned, and none has a place for a secret."""

import re

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as StandardEvent

from shared.event_catalogue import EVENTS, UserRegistered
from shared.events import CloudEvent, EventData, new_event

SNAPSHOT = UserRegistered(
    user_id="7",
    phone_ref="00ff",
    phone_masked="138****8000",
    country="86",
    nickname="张三",
    avatar="",
    discoverable=True,
    disabled=False,
    dialect="maitian",
    client="iOS",
)


def test_an_event_is_read_by_the_standard_library_of_cloudevents() -> None:
    made = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    read = JSONFormat().read(StandardEvent, made.body)
    assert read.get_id() == str(made.id)
    assert (read.get_source(), read.get_type(), read.get_subject()) == ("/auth-service", "auth.user.registered.v1", "7")
    assert read.get_extension("version") == 3
    assert read.get_data()["nickname"] == "张三"


def test_an_event_survives_its_own_envelope() -> None:
    made = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    assert CloudEvent[UserRegistered].model_validate_json(made.body).data == SNAPSHOT


def test_routing_keys_are_unique_and_versioned() -> None:
    keys = [fact.key for fact in EVENTS]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"(auth|sms|contacts)(\.[a-z]+){1,2}\.v[0-9]+", key) for key in keys)


@pytest.mark.parametrize("fact", EVENTS, ids=lambda fact: fact.key)
def test_no_event_has_a_field_for_a_secret(fact: type[EventData]) -> None:
    forbidden = {"phone", "number", "code", "password", "token", "ticket", "secret", "address"}
    assert forbidden.isdisjoint(fact.model_fields)
