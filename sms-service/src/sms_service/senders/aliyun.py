"""Aliyun (Alibaba Cloud) SMS, through Aliyun's own library."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_dysmsapi20170525.models import SendSmsRequest
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.exceptions import DaraException
from darabonba.runtime import RuntimeOptions

from sms_service.senders.config import AliyunConfig
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
    "isv.BUSINESS_LIMIT_CONTROL": Outcome.RATE_LIMITED,
    "isv.DAY_LIMIT_CONTROL": Outcome.RATE_LIMITED,
    "isv.MONTH_LIMIT_CONTROL": Outcome.RATE_LIMITED,
    "isv.MOBILE_NUMBER_ILLEGAL": Outcome.INVALID_NUMBER,
    "isv.MOBILE_COUNT_OVER_LIMIT": Outcome.INVALID_NUMBER,
    "isv.BLACK_KEY_CONTROL_LIMIT": Outcome.REFUSED,
    "isv.PARAM_NOT_SUPPORT_URL": Outcome.REFUSED,
    "isv.PARAM_LENGTH_LIMIT": Outcome.REFUSED,
    "isv.SMS_CONTENT_ILLEGAL": Outcome.REFUSED,
    "isv.BLACK_PHONE": Outcome.PERMANENT,
    "isp.SYSTEM_ERROR": Outcome.TRANSIENT,
    "isp.GATEWAY_ERROR": Outcome.TRANSIENT,
    "isp.RAM_PERMISSION_DENY": Outcome.MISCONFIGURED,
    "ServiceUnavailable": Outcome.TRANSIENT,
    "InternalError": Outcome.TRANSIENT,
}
_BY_PREFIX = (
    ("Throttling", Outcome.RATE_LIMITED),
    # Signatures, templates, accounts, balances: every other code about the customer is for our operators to correct.
    ("isv.", Outcome.MISCONFIGURED),
    ("InvalidAccessKeyId", Outcome.MISCONFIGURED),
    ("SignatureDoesNotMatch", Outcome.MISCONFIGURED),
    ("IncompleteSignature", Outcome.MISCONFIGURED),
    ("InvalidTimeStamp", Outcome.MISCONFIGURED),
    ("Forbidden", Outcome.MISCONFIGURED),
    ("NoPermission", Outcome.MISCONFIGURED),
    ("Missing", Outcome.MISCONFIGURED),
    ("Invalid", Outcome.MISCONFIGURED),
)

_QUERY_BALANCE = Params(
    action="QueryAccountBalance",
    version="2017-12-14",
    pathname="/",
    method="POST",
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)
"""Of the account, because the API of messages tells no balance (BssOpenApi)."""

for _name in ("alibabacloud-tea", "darabonba-core"):  # at level "debug" they log whole requests
    logging.getLogger(_name).setLevel(logging.WARNING)


class AliyunSender:
    """Fills an approved template with the code. Our id is the ``OutId``, which the receipt returns."""

    def __init__(self, name: str, config: AliyunConfig, client: Client, accounts: OpenApiClient) -> None:
        self.name = name
        self._config = config
        self._client = client
        self._accounts = accounts
        milliseconds = int(SEND_SECONDS * 1000)
        self._runtime = RuntimeOptions(read_timeout=milliseconds, connect_timeout=milliseconds, autoretry=False)

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: AliyunConfig) -> AsyncIterator["AliyunSender"]:
        """A sender. The library opens a connection for each message."""
        client = Client(_client_config(config, config.endpoint))
        yield cls(name, config, client, OpenApiClient(_client_config(config, config.balance_endpoint)))

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Send the message once; the library's errors become results."""
        request = SendSmsRequest(
            phone_numbers=_local_number(outgoing.to),
            sign_name=self._config.sign_name,
            template_code=self._config.templates.template_for(outgoing.purpose, outgoing.language, outgoing.notice),
            template_param=orjson.dumps({self._config.code_parameter: outgoing.code}).decode(),
            out_id=str(outgoing.message_id),
        )
        try:
            response = await self._client.send_sms_with_options_async(request, self._runtime)
        except DaraException as error:
            return parse_error_code(getattr(error, "code", None) or "", getattr(error, "status_code", None))
        body = response.body
        if body is None or not body.code:
            return SendResult(Outcome.TRANSIENT, "malformed_response")
        if body.code == "OK":
            return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(body.biz_id))
        return parse_error_code(body.code)

    async def balance(self) -> Balance:
        """What is available in the account. The key needs the permission ``bss:DescribeAcccount``."""
        response = await self._accounts.call_api_async(_QUERY_BALANCE, OpenApiRequest(), self._runtime)
        data = response["body"]["Data"]
        return Balance(float(data["AvailableAmount"].replace(",", "")), data["Currency"])


def _client_config(config: AliyunConfig, endpoint: str) -> Config:
    return Config(
        access_key_id=config.access_key_id.get_secret_value(),
        access_key_secret=config.access_key_secret.get_secret_value(),
        endpoint=endpoint,
        protocol=config.scheme.upper(),
    )


def parse_error_code(code: object, status: object = None) -> SendResult:
    """The result of an error code. ``status`` is the HTTP status, if there was a response."""
    text = str(code)
    outcome = _BY_CODE.get(text) or next((o for prefix, o in _BY_PREFIX if text.startswith(prefix)), None)
    if isinstance(status, int) and status >= 500:
        outcome = Outcome.TRANSIENT
    return SendResult(outcome or Outcome.TRANSIENT, safe_error_code(text or "no_code"))


def _local_number(number: str) -> str:
    """A number as Aliyun expects it: national in mainland China, elsewhere with the calling code but no plus sign."""
    return number.removeprefix("+86") if number.startswith("+86") else number.removeprefix("+")
