"""A signed POST to the operator's own service, which delivers the message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson

from shared.webhooks.signature import WebhookKey
from sms_service.senders.config import WebhookConfig
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult, safe_error_code, safe_provider_id

MAX_RESPONSE = 64 * 1024

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
    """Posts ``{id, to, text, code, purpose, notice, language, expires_in}``, signed as in Standard Webhooks.

    ``id`` is also the ``webhook-id``, so a message keeps the same one if it is posted again.
    """

    def __init__(self, name: str, config: WebhookConfig, http: aiohttp.ClientSession) -> None:
        self.name = name
        self._url = config.url
        self._key = WebhookKey(config.secret.get_secret_value())
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: WebhookConfig) -> AsyncIterator["WebhookSender"]:
        """A sender whose connections last as long as the block."""
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=jar) as http:
            yield cls(name, config, http)

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Post the message once, without following redirects."""
        body = orjson.dumps(
            {
                "id": str(outgoing.message_id),
                "to": outgoing.to,
                "text": outgoing.text,
                "code": outgoing.code,
                "purpose": outgoing.purpose.value,
                "notice": outgoing.notice.value,
                "language": outgoing.language.value,
                "expires_in": max(0, int(outgoing.remaining.total_seconds())),
            }
        )
        headers = {"Content-Type": "application/json", **self._key.headers(str(outgoing.message_id), body)}
        try:
            async with self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                return parse_response(response.status, await _read_body(response))
        except aiohttp.ClientError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut soon after ``MAX_RESPONSE`` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_RESPONSE:
            break
    return bytes(body)


def parse_response(status: int, body: bytes) -> SendResult:
    """The result of a response. A 2xx must have an empty body or a JSON object, or it is malformed.

    The object may have ``outcome`` (an ``Outcome``), ``id`` and ``detail``; ``error`` without ``outcome`` is a refusal.
    """
    response = _json_object(body)
    if response is not None and "outcome" in response:
        return _stated_result(response, status)
    if not 200 <= status < 300:
        return SendResult(_BY_STATUS.get(status, Outcome.TRANSIENT), str(status))
    if response is None:
        malformed = SendResult(Outcome.TRANSIENT, "malformed_response")
        return malformed if body.strip() else SendResult(Outcome.ACCEPTED)
    if error := response.get("error"):
        return SendResult(Outcome.REFUSED, safe_error_code(error) if isinstance(error, str) else "error")
    return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(response.get("id")))


def _stated_result(response: dict[str, object], status: int) -> SendResult:
    try:
        outcome = Outcome(str(response["outcome"]))
    except ValueError:
        return SendResult(Outcome.TRANSIENT, "unknown_outcome")
    if outcome is Outcome.ACCEPTED and not 200 <= status < 300:
        return SendResult(Outcome.TRANSIENT, str(status))
    return SendResult(outcome, safe_error_code(response.get("detail") or ""), safe_provider_id(response.get("id")))


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        document = orjson.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
