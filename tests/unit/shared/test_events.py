"""Events are valid CloudEvents with unique, versioned keys, and have no field for a secret."""

import json
import re

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as StandardEvent

from shared.events.catalogue import EVENTS, UserRegistered
from shared.events.envelope import CloudEvent, EventData, new_event, to_queue
from shared.trace import begin_cause

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


def test_the_cloudevents_library_reads_an_event() -> None:
    event = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    read = JSONFormat().read(StandardEvent, event.body)
    assert read.get_id() == str(event.id)
    assert (read.get_source(), read.get_type(), read.get_subject()) == ("/auth-service", "auth.user.registered.v1", "7")
    assert read.get_extension("version") == 3
    assert read.get_data()["nickname"] == "张三"


def test_an_event_is_parsed_from_its_own_envelope() -> None:
    event = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    assert CloudEvent[UserRegistered].model_validate_json(event.body).data == SNAPSHOT


async def test_an_event_names_the_request_that_caused_it() -> None:
    begin_cause("9a0f3c")
    caused = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    begin_cause("")
    by_itself = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    assert JSONFormat().read(StandardEvent, caused.body).get_extension("requestid") == "9a0f3c"
    assert "requestid" not in json.loads(by_itself.body)


async def test_an_event_names_the_trace_of_its_request() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    begin_cause("9a0f3c", [trace])
    caused = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    begin_cause("")
    by_itself = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    assert JSONFormat().read(StandardEvent, caused.body).get_extension("traceparent") == trace
    assert "traceparent" not in json.loads(by_itself.body)


def test_an_event_for_one_queue_keeps_its_id_body_and_type() -> None:
    event = new_event(SNAPSHOT, source="auth-service", subject="7", version=3)
    alone = to_queue(event, "my-service.users")
    assert (alone.exchange, alone.routing_key) == ("", "my-service.users")
    assert (alone.id, alone.body, alone.event_type) == (event.id, event.body, event.routing_key)


def test_routing_keys_are_unique_and_versioned() -> None:
    keys = [event.key for event in EVENTS]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"(auth|sms|contacts)(\.[a-z]+){1,2}\.v[0-9]+", key) for key in keys)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.key)
def test_no_event_has_a_field_for_a_secret(event: type[EventData]) -> None:
    forbidden = {"phone", "number", "code", "password", "token", "ticket", "secret", "address"}
    assert forbidden.isdisjoint(event.model_fields)
