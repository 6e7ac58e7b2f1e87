"""Twilio's Messages API, through Twilio's own library."""

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from sms_service.senders.config import TwilioConfig
from sms_service.senders.port import (
    SEND_SECONDS,
    Balance,
    Outcome,
    OutgoingMessage,
    SendResult,
    safe_error_code,
    safe_provider_id,
)

_BY_CODE = {
    # The number (twilio.com/docs/api/errors)
    21211: Outcome.INVALID_NUMBER,  # invalid "To"
    21214: Outcome.INVALID_NUMBER,  # cannot be reached
    21217: Outcome.INVALID_NUMBER,  # does not appear to be valid
    21614: Outcome.INVALID_NUMBER,  # not a mobile number
    21265: Outcome.INVALID_NUMBER,  # a short code
    # The text, or its recipient
    21610: Outcome.REFUSED,  # unsubscribed by STOP
    21617: Outcome.REFUSED,  # too long
    30007: Outcome.REFUSED,  # filtered
    # Limits
    14107: Outcome.RATE_LIMITED,
    20429: Outcome.RATE_LIMITED,
    21611: Outcome.RATE_LIMITED,  # the queue of "From" is full
    30001: Outcome.RATE_LIMITED,
    63038: Outcome.RATE_LIMITED,  # the account's daily messages
    # Our account and configuration
    20003: Outcome.MISCONFIGURED,  # authentication
    20005: Outcome.MISCONFIGURED,  # account not active
    20008: Outcome.MISCONFIGURED,  # test credentials
    21212: Outcome.MISCONFIGURED,  # invalid "From"
    21408: Outcome.MISCONFIGURED,  # region not permitted for the account
    21601: Outcome.MISCONFIGURED,
    21603: Outcome.MISCONFIGURED,  # "From" missing
    21606: Outcome.MISCONFIGURED,  # "From" cannot send
    21608: Outcome.MISCONFIGURED,  # trial account, number not verified
    21609: Outcome.MISCONFIGURED,  # invalid StatusCallback
    21659: Outcome.MISCONFIGURED,  # "From" is not ours
    21701: Outcome.MISCONFIGURED,  # no such messaging service
    21703: Outcome.MISCONFIGURED,  # messaging service without senders
    # The route
    21612: Outcome.PERMANENT,  # no route from "From" to "To"
}
_BY_STATUS = {
    401: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    404: Outcome.MISCONFIGURED,
    429: Outcome.RATE_LIMITED,
}
_UNDELIVERED = frozenset({"failed", "undelivered", "canceled"})

logging.getLogger("twilio").setLevel(logging.ERROR)  # at level "info" it logs whole requests


class TwilioSender:
    """Creates one message resource. Twilio posts its status later, to a callback URL that contains our id."""

    def __init__(self, name: str, config: TwilioConfig, client: Client, receipt_url: str | None) -> None:
        self.name = name
        self._client = client
        self._receipt_url = receipt_url
        self._from = {
            key: value
            for key, value in (("from_", config.from_number), ("messaging_service_sid", config.messaging_service_sid))
            if value is not None
        }

    @classmethod
    @asynccontextmanager
    async def open(
        cls, name: str, config: TwilioConfig, receipt_url: str | None = None
    ) -> AsyncIterator["TwilioSender"]:
        """A sender whose connections last as long as the block. Twilio posts receipts to ``receipt_url``."""
        async with AsyncTwilioHttpClient(timeout=SEND_SECONDS) as http:
            credentials = _BasicCredentials(f"{config.account_sid}:{config.auth_token.get_secret_value()}")
            client = Client(account_sid=config.account_sid, credential_provider=credentials, http_client=http)
            if config.base_url is not None:
                client.api.base_url = config.base_url
            yield cls(name, config, client, receipt_url)

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Create the message; the library does not retry."""
        options = dict(self._from)
        if self._receipt_url is not None:
            options["status_callback"] = f"{self._receipt_url}?m={outgoing.message_id}"
        try:
            created = await self._client.messages.create_async(to=outgoing.to, body=outgoing.text, **options)
        except TwilioException as error:
            return _error_result(error)
        except (aiohttp.ClientError, ValueError) as error:  # unreachable, or an HTML page instead of JSON
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        if created.sid is None:
            return SendResult(Outcome.TRANSIENT, "malformed_response")
        if created.status in _UNDELIVERED:
            outcome = _BY_CODE.get(_as_int(created.error_code), Outcome.PERMANENT)
            return SendResult(outcome, safe_error_code(created.error_code or ""))
        return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(created.sid))

    async def balance(self) -> Balance:
        """What is left of the account, in its currency."""
        account = await self._client.balance.fetch_async()
        return Balance(float(account.balance or ""), account.currency or "")


class _BasicCredentials:
    """HTTP Basic credentials. The library's own implementation uses a way that aiohttp has deprecated."""

    def __init__(self, pair: str) -> None:
        self._header = "Basic " + base64.b64encode(pair.encode()).decode()

    def to_auth_strategy(self) -> "_BasicCredentials":
        """Itself: basic credentials are neither fetched nor renewed."""
        return self

    def get_auth_string(self) -> str:
        """The value of the ``Authorization`` header."""
        return self._header


def _error_result(error: TwilioException) -> SendResult:
    status, code = _as_int(getattr(error, "status", 0)), _as_int(getattr(error, "code", 0))
    if status >= 500:
        return SendResult(Outcome.TRANSIENT, safe_error_code(code or status))
    otherwise = Outcome.PERMANENT if status >= 400 else Outcome.TRANSIENT
    return SendResult(_BY_CODE.get(code) or _BY_STATUS.get(status) or otherwise, safe_error_code(code or status))


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdecimal() else 0
