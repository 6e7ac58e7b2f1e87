"""Twilio's Messages API, by Twilio's own library."""

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from sms_service.senders.config import TwilioConfig
from sms_service.senders.port import SEND_SECONDS, Message, Outcome, SendResult, provider_id_of, safe_error_code

_BY_CODE = {
    # The number (twilio.com/docs/api/errors)
    21211: Outcome.INVALID_NUMBER,  # invalid "To"
    21214: Outcome.INVALID_NUMBER,  # cannot be reached
    21217: Outcome.INVALID_NUMBER,  # does not appear to be valid
    21614: Outcome.INVALID_NUMBER,  # not a mobile number
    21265: Outcome.INVALID_NUMBER,  # a short code
    # The text, or its reader
    21610: Outcome.REFUSED,  # unsubscribed by STOP
    21617: Outcome.REFUSED,  # too long
    30007: Outcome.REFUSED,  # filtered
    # Too much
    14107: Outcome.RATE_LIMITED,
    20429: Outcome.RATE_LIMITED,
    21611: Outcome.RATE_LIMITED,  # the queue of "From" is full
    30001: Outcome.RATE_LIMITED,
    63038: Outcome.RATE_LIMITED,  # the account's daily messages
    # Us
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
    # The way there
    21612: Outcome.PERMANENT,  # no route from "From" to "To"
}
_BY_STATUS = {
    401: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    404: Outcome.MISCONFIGURED,
    429: Outcome.RATE_LIMITED,
}
_LOST = frozenset({"failed", "undelivered", "canceled"})

logging.getLogger("twilio").setLevel(logging.ERROR)  # at "info" it logs whole requests


class TwilioSender:
    """Creates one message resource; its status comes later, to the callback that names our message."""

    def __init__(self, name: str, config: TwilioConfig, client: Client, callback: str | None) -> None:
        self.name = name
        self._client = client
        self._callback = callback
        self._from = {
            key: value
            for key, value in (("from_", config.from_number), ("messaging_service_sid", config.messaging_service_sid))
            if value is not None
        }

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: TwilioConfig, callback: str | None = None) -> AsyncIterator["TwilioSender"]:
        """A sender with connections that last as long as the block. ``callback`` is where receipts are to go."""
        async with AsyncTwilioHttpClient(timeout=SEND_SECONDS) as http:
            secret = _Basic(f"{config.account_sid}:{config.auth_token.get_secret_value()}")
            client = Client(account_sid=config.account_sid, credential_provider=secret, http_client=http)
            if config.base_url is not None:
                client.api.base_url = config.base_url
            yield cls(name, config, client, callback)

    async def send(self, message: Message) -> SendResult:
        """Create the message. Nothing is sent again by the library."""
        more = dict(self._from)
        if self._callback is not None:
            more["status_callback"] = f"{self._callback}?m={message.message_id}"
        try:
            made = await self._client.messages.create_async(to=message.to, body=message.text, **more)
        except TwilioException as error:
            return _refusal(error)
        except (aiohttp.ClientError, ValueError) as error:  # away, or a page instead of JSON
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        if made.sid is None:
            return SendResult(Outcome.TRANSIENT, "nonsense")
        if made.status in _LOST:
            return SendResult(
                _BY_CODE.get(_number(made.error_code), Outcome.PERMANENT), safe_error_code(made.error_code or "")
            )
        return SendResult(Outcome.ACCEPTED, provider_id=provider_id_of(made.sid))


class _Basic:
    """HTTP Basic as a credential provider: the library's own way to it is one that aiohttp is about to drop."""

    def __init__(self, pair: str) -> None:
        self._header = "Basic " + base64.b64encode(pair.encode()).decode()

    def to_auth_strategy(self) -> "_Basic":
        """Itself: there is nothing to fetch or to renew."""
        return self

    def get_auth_string(self) -> str:
        """The value of the header."""
        return self._header


def _refusal(error: TwilioException) -> SendResult:
    status, code = _number(getattr(error, "status", 0)), _number(getattr(error, "code", 0))
    if status >= 500:
        return SendResult(Outcome.TRANSIENT, safe_error_code(code or status))
    outcome = _BY_CODE.get(code) or _BY_STATUS.get(status)
    return SendResult(
        outcome or (Outcome.PERMANENT if status >= 400 else Outcome.TRANSIENT), safe_error_code(code or status)
    )


def _number(given: object) -> int:
    return given if isinstance(given, int) else int(given) if isinstance(given, str) and given.isdecimal() else 0
