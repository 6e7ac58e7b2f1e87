"""A signed POST to a service of the operator's own, which carries the message as it likes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson

from sms_service.senders.config import WebhookConfig
from sms_service.senders.port import Message, Outcome, SendResult, provider_id_of, safe_error_code
from sms_service.senders.webhook_signature import WebhookKey

MAX_ANSWER = 64 * 1024

_BY_STATUS = {
    400: Outcome.PERMANENT,
    413: Outcome.PERMANENT,
    422: Outcome.PERMANENT,
    401: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    404: Outcome.MISCONFIGURED,
    405: Outcome.MISCONFIGURED,
    410: Outcome.MISCONFIGURED,
    415: Outcome.MISCONFIGURED,
    429: Outcome.RATE_LIMITED,
}


class WebhookSender:
    """Posts ``{id, to, text, code, purpose, language, expires_in}``, signed as in Standard Webhooks.

    ``id`` is also the ``webhook-id``: the same message never comes with another one.
    """

    def __init__(self, name: str, config: WebhookConfig, http: aiohttp.ClientSession) -> None:
        self.name = name
        self._url = config.url
        self._key = WebhookKey(config.secret.get_secret_value())
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: WebhookConfig) -> AsyncIterator["WebhookSender"]:
        """A sender with connections that last as long as the block."""
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=jar) as http:
            yield cls(name, config, http)

    async def send(self, message: Message) -> SendResult:
        """Post it once; redirects are not followed."""
        body = orjson.dumps(
            {
                "id": str(message.message_id),
                "to": message.to,
                "text": message.text,
                "code": message.code,
                "purpose": message.purpose.value,
                "language": message.language.value,
                "expires_in": max(0, int(message.remaining.total_seconds())),
            }
        )
        headers = {"Content-Type": "application/json", **self._key.headers(str(message.message_id), body)}
        try:
            async with self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                return read_answer(response.status, await _read(response))
        except aiohttp.ClientError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as an answer could need."""
    taken = bytearray()
    async for chunk in response.content.iter_any():
        taken += chunk
        if len(taken) > MAX_ANSWER:
            break
    return bytes(taken)


def read_answer(status: int, body: bytes) -> SendResult:
    """What a status and a body mean. A body that is neither empty nor a JSON object is nonsense from a 2xx.

    An object may give ``outcome`` (one of ours), ``id``, ``detail``; one with ``error`` and no ``outcome`` refuses.
    """
    given = _object(body)
    if given is not None and "outcome" in given:
        return _said(given, status)
    if not 200 <= status < 300:
        return SendResult(_BY_STATUS.get(status, Outcome.TRANSIENT), str(status))
    if given is None:
        return SendResult(Outcome.TRANSIENT, "nonsense") if body.strip() else SendResult(Outcome.ACCEPTED)
    if given.get("error"):
        return SendResult(
            Outcome.REFUSED, safe_error_code(given["error"]) if isinstance(given["error"], str) else "error"
        )
    return SendResult(Outcome.ACCEPTED, provider_id=provider_id_of(given.get("id")))


def _said(given: dict[str, object], status: int) -> SendResult:
    try:
        outcome = Outcome(str(given["outcome"]))
    except ValueError:
        return SendResult(Outcome.TRANSIENT, "unknown_outcome")
    if outcome is Outcome.ACCEPTED and not 200 <= status < 300:
        return SendResult(Outcome.TRANSIENT, str(status))
    return SendResult(outcome, safe_error_code(given.get("detail") or ""), provider_id_of(given.get("id")))


def _object(body: bytes) -> dict[str, object] | None:
    try:
        given = orjson.loads(body)
    except ValueError:
        return None
    return given if isinstance(given, dict) else None
