"""The AsyncAPI 3.0 document of every event, generated from the models that the services publish."""

from gateway.documents.examples import Examples
from gateway.documents.fields import markdown
from gateway.documents.schemas import Json, schemas_of
from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE, CloudEvent, EventData

ABOUT = f"""\
Services publish events to one durable topic exchange, `{EXCHANGE}`, as CloudEvents 1.0 in structured JSON. The routing
key is the event's `type`; its suffix `v1` is the version of the schema. Bind your own durable queue to the keys you
need, and acknowledge a message after you have processed it.

* **Duplicates**: delivery is at least once. Record the `id`s you have processed, or make your effect an upsert.
* **No order**: `version` is the subject's version after this event. Apply a snapshot only if it is newer than yours.
* **New fields** may be added within a version; every other change is a new `.v2` key beside the old one.

No event contains a code, a password, a token or a phone number in clear text."""

CONTENT_TYPE = "application/cloudevents+json"
BINDING = {
    "is": "routingKey",
    "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
    "bindingVersion": "0.3.0",
}
SERVER = {
    "host": "{broker}",
    "protocol": "amqp",
    "protocolVersion": "0.9.1",
    "description": "The broker in `AMQP_URL` of the services.",
    "variables": {
        "broker": {"default": "rabbitmq:5672", "description": "Its host and port, by default those of compose."}
    },
}
SERVICES = {"auth": "auth-service", "sms": "sms-service", "contacts": "contacts-service"}
"""The service that publishes an event, by the first word of its key."""

EXAMPLES = {
    "id": "019da4e3-3a78-7092-a46a-1955c106d159",
    "requestid": "9a0f3c5d7e1b2a4c6d8e0f12",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "user_id": "186423500912345",
    "session_id": "5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4",
    "verification_id": "019da4e3-1f20-7c31-8d7e-5a0c6f9b2e11",
    "message_id": "019da4e3-1f2a-7a10-9b55-0c9be34e77aa",
    "phone_ref": "9f4c1d7e02b8a6f3",
    "phone_masked": "138****8000",
    "country": "86",
    "nickname": "张三",
    "avatar": "https://img.example.com/a.png",
    "discoverable": True,
    "disabled": False,
    "dialect": "maitian",
    "client": "Android",
    "cause": "log_in_with_password",
    "PasswordChanged.cause": "reset",
    "SessionRevoked.cause": "ended_by_user",
    "sessions_revoked": 2,
    "method": "password",
    "LoginFailed.reason": "incorrect",
    "failures": 7,
    "first_at": "2026-11-28T02:03:04Z",
    "last_at": "2026-11-28T02:03:58Z",
    "at": "2026-11-28T02:03:04Z",
    "network": "203.0.113.0/24",
    "new_client": True,
    "new_network": False,
    "purpose": "sign_up",
    "limiter": "cooldown",
    "retry_after": 42,
    "reason": "incorrect",
    "tries_left": 4,
    "sender": "inbox",
    "latency_ms": 180,
    "failure": "undelivered",
    "scope": "range:+861380013",
    "kind": "range",
    "prefix": "+861380013",
    "sent": 86,
    "verified": 2,
    "spent_micros": 3_870_000,
    "span": "hour",
    "limit_micros": 50_000_000,
    "currency": "CNY",
    "enforced": True,
    "seconds": 3600,
    "submitted": 200,
    "charged": 40,
    "matched": 7,
    "version": 3,
} | {
    f"{budget_event}.{field}": example
    for budget_event in ("BudgetWarned", "BudgetReserved", "BudgetExhausted", "BudgetRenewed")
    for field, example in {"scope": "hour:+86", "prefix": "+86", "spent_micros": 42_500_000, "seconds": 840}.items()
}


def asyncapi(version: str) -> Json:
    """The document as JSON."""
    envelopes = [(CloudEvent[event], "serialization") for event in EVENTS]  # type: ignore[valid-type]
    _, definitions = schemas_of(envelopes, "")  # type: ignore[arg-type]
    return _document(version, {schema["title"]: schema for schema in definitions.values()})


def _document(version: str, schemas: dict[str, Json]) -> Json:
    examples = Examples(EXAMPLES, schemas)
    by_event = {event: {"$ref": f"#/components/schemas/{event.__name__}Event"} for event in EVENTS}
    messages = {event.key: _message(event, by_event[event], examples) for event in EVENTS}
    for event, reference in by_event.items():
        _complete(examples.follow(reference), event)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Haoma: events", "version": version, "description": ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": SERVER},
        "channels": {key: _channel(key) for key in messages},
        "operations": {f"publish.{event.key}": _operation(event) for event in EVENTS},
        "components": {"schemas": schemas, "messages": messages},
    }


def _complete(envelope: Json, event: type[EventData]) -> None:
    """Add what the model does not say: the type, and that only an event without a request lacks an attribute."""
    envelope["properties"]["type"]["const"] = event.key
    optional = ("requestid", "traceparent")
    envelope["properties"] |= {name: {"type": "string"} for name in optional}
    envelope["required"] = [name for name in envelope["properties"] if name not in optional]


def _message(event: type[EventData], payload: Json, examples: Examples) -> Json:
    payload_example = examples.of(payload)
    service = SERVICES[event.key.partition(".")[0]]
    attributes = {
        "source": f"/{service}",
        "type": event.key,
        "subject": payload_example["data"][event.subject_field],
    }
    about = markdown(event.__doc__ or "")
    return {
        "name": event.key,
        "title": event.__name__,
        "summary": about.partition("\n")[0],
        "description": f"{about}\n\nPublished by {service}. `subject` is the `{event.subject_field}`.",
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": event.key, "bindingVersion": "0.3.0"}},
        "examples": [{"name": event.__name__, "payload": payload_example | attributes}],
    }


def _channel(key: str) -> Json:
    return {
        "address": key,
        "messages": {key: {"$ref": f"#/components/messages/{key}"}},
        "bindings": {"amqp": BINDING},
    }


def _operation(event: type[EventData]) -> Json:
    key = event.key
    return {
        "action": "send",
        "summary": f"Publish {event.__name__}",
        "description": markdown(event.__doc__ or "").partition("\n")[0],
        "channel": {"$ref": f"#/channels/{key}"},
        "messages": [{"$ref": f"#/channels/{key}/messages/{key}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "ack": True, "bindingVersion": "0.3.0"}},
    }
