"""AsyncAPI 3.0 for every event that Haoma tells, made of the models that the services publish with."""

from typing import Any

from gateway.documents.examples import Examples
from gateway.documents.openapi import markdown
from gateway.documents.schemas import Json, schemas_of
from shared.events import EVENTS, EXCHANGE, CloudEvent, EventData

ABOUT = f"""\
Facts on one durable topic exchange, `{EXCHANGE}`, as CloudEvents 1.0 in structured JSON. The routing key is the event's
`type`; `v1` in it is the version of its shape. Bind a durable queue of your own to the keys you want, and acknowledge
after your work.

* **Duplicates**: delivery is at least once. Keep the `id`s you handled, or make your effect an upsert.
* **No order**: `version` is the subject's after this fact. Apply a snapshot only if it is newer than what you hold.
* **New fields** may come within a version; anything else is a new `.v2` key beside the old one.

No event holds a code, a password, a token or a clear number."""

CONTENT_TYPE = "application/cloudevents+json"
BINDING = {
    "is": "routingKey",
    "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
    "bindingVersion": "0.3.0",
}
SERVICES = {"auth": "auth-service", "sms": "sms-service", "contacts": "contacts-service"}
"""Which service tells an event, by the first word of its key."""

KNOWN = {
    "id": "019da4e3-3a78-7092-a46a-1955c106d159",
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
    "cause": "log_in",
    "PasswordChanged.cause": "reset",
    "SessionRevoked.cause": "ended_by_user",
    "sessions_revoked": 2,
    "purpose": "sign_up",
    "limiter": "cooldown",
    "retry_after": 42,
    "reason": "wrong",
    "tries_left": 4,
    "sender": "inbox",
    "latency_ms": 180,
    "failure": "rejected",
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
    for budget_event in ("BudgetWarned", "BudgetExhausted", "BudgetRenewed")
    for field, example in {"scope": "hour:+86", "prefix": "+86", "spent_micros": 42_500_000, "seconds": 840}.items()
}


def asyncapi(version: str) -> Json:
    """The document."""
    envelopes = [(CloudEvent[fact], "serialization") for fact in EVENTS]  # type: ignore[valid-type]
    return _document(version, *schemas_of(envelopes, ""))  # type: ignore[arg-type]


def _document(version: str, references: dict[Any, Json], schemas: dict[str, Json]) -> Json:
    examples = Examples(KNOWN, schemas)
    by_fact = {envelope.model_fields["data"].annotation: reference for (envelope, _), reference in references.items()}
    messages = {fact.key: _message(fact, by_fact[fact], examples) for fact in EVENTS}
    for fact, reference in by_fact.items():
        examples.follow(reference)["properties"]["type"]["const"] = fact.key
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Haoma 号码: events", "version": version, "description": ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": {"host": "127.0.0.1:5672", "protocol": "amqp", "protocolVersion": "0.9.1"}},
        "channels": {key: _channel(key) for key in messages},
        "operations": {f"tell.{key}": _operation(key) for key in messages},
        "components": {"schemas": schemas, "messages": messages},
    }


def _message(fact: type[EventData], payload: Json, examples: Examples) -> Json:
    shown = examples.of(payload)
    service = SERVICES[fact.key.partition(".")[0]]
    told = {"source": f"/{service}", "type": fact.key, "subject": shown["data"][fact.subject_field]}
    about = markdown(fact.__doc__ or "")
    return {
        "name": fact.key,
        "title": fact.__name__,
        "summary": about.partition("\n")[0],
        "description": f"{about}\n\nTold by {service}. `subject` is the `{fact.subject_field}`.",
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": fact.key, "bindingVersion": "0.3.0"}},
        "examples": [{"name": fact.__name__, "payload": shown | told}],
    }


def _channel(key: str) -> Json:
    return {
        "address": key,
        "messages": {key: {"$ref": f"#/components/messages/{key}"}},
        "bindings": {"amqp": BINDING},
    }


def _operation(key: str) -> Json:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "messages": [{"$ref": f"#/channels/{key}/messages/{key}"}],
        "bindings": {"amqp": {"deliveryMode": 2, "ack": True, "bindingVersion": "0.3.0"}},
    }
