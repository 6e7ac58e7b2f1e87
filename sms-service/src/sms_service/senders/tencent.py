"""Tencent Cloud SMS, by its own library."""

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111.models import SendSmsRequest
from tencentcloud.sms.v20210111.sms_client_async import SmsClient

from sms_service.senders.config import TencentConfig
from sms_service.senders.port import SEND_SECONDS, Message, Outcome, SendResult, provider_id_of, safe_error_code

_BY_CODE = {
    "InvalidParameterValue.IncorrectPhoneNumber": Outcome.INVALID_NUMBER,
    "UnsupportedOperation.UnsuportedRegion": Outcome.PERMANENT,
    "FailedOperation.ContainSensitiveWord": Outcome.REFUSED,
    "FailedOperation.ForbidAddMarketingTemplates": Outcome.REFUSED,
    "FailedOperation.PhoneNumberInBlacklist": Outcome.PERMANENT,
    "InvalidParameterValue.ContentLengthLimit": Outcome.REFUSED,
    "InvalidParameterValue.TemplateParameterLengthLimit": Outcome.REFUSED,
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": Outcome.REFUSED,
}
_BY_PREFIX = (
    ("LimitExceeded", Outcome.RATE_LIMITED),
    ("RequestLimitExceeded", Outcome.RATE_LIMITED),
    ("InternalError", Outcome.TRANSIENT),
    ("ServerNetworkError", Outcome.TRANSIENT),
    ("ClientNetworkError", Outcome.TRANSIENT),
    ("ServiceUnavailable", Outcome.TRANSIENT),
    # Signatures, templates, packages, permissions: ours to mend.
    ("FailedOperation", Outcome.MISCONFIGURED),
    ("AuthFailure", Outcome.MISCONFIGURED),
    ("UnauthorizedOperation", Outcome.MISCONFIGURED),
    ("UnsupportedOperation", Outcome.MISCONFIGURED),
    ("ResourceUnavailable", Outcome.MISCONFIGURED),
    ("MissingParameter", Outcome.MISCONFIGURED),
    ("InvalidParameter", Outcome.MISCONFIGURED),
)

for _name in ("tencentcloud_sdk_common", "httpx", "httpcore"):  # at "debug" they log whole requests
    logging.getLogger(_name).setLevel(logging.WARNING)


class TencentSender:
    """Fills an approved template. Receipts know a message by the serial number of the answer."""

    def __init__(self, name: str, config: TencentConfig, client: SmsClient) -> None:
        self.name = name
        self._config = config
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: TencentConfig) -> AsyncIterator["TencentSender"]:
        """A sender with connections that last as long as the block."""
        credential = Credential(config.secret_id.get_secret_value(), config.secret_key.get_secret_value())
        http = HttpProfile(
            protocol=config.scheme, endpoint=config.endpoint, reqTimeout=math.ceil(SEND_SECONDS), keepAlive=True
        )
        async with SmsClient(credential, config.region, ClientProfile(httpProfile=http)) as client:
            yield cls(name, config, client)

    async def send(self, message: Message) -> SendResult:
        """Send it once. The library's errors are answers too."""
        request = SendSmsRequest()
        request.PhoneNumberSet = [message.to]
        request.SmsSdkAppId = self._config.app_id
        request.SignName = self._config.sign_name or None
        request.TemplateId = self._config.templates.find(message.purpose, message.language)
        minutes = str(max(1, math.ceil(message.remaining.total_seconds() / 60)))
        request.TemplateParamSet = [{"code": message.code, "minutes": minutes}[p] for p in self._config.parameters]
        request.SessionContext = str(message.message_id)
        try:
            response = await self._client.SendSms(request)
        except TencentCloudSDKException as error:
            return read_code(error.get_code() or "")
        except httpx.HTTPError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        except (ValueError, KeyError, TypeError, AttributeError):  # a page, or JSON that is not its own
            return SendResult(Outcome.TRANSIENT, "nonsense")
        return _status(response.SendStatusSet)


def _status(statuses: object) -> SendResult:
    if not isinstance(statuses, list) or len(statuses) != 1:
        return SendResult(Outcome.TRANSIENT, "nonsense")
    if statuses[0].Code == "Ok":
        return SendResult(Outcome.ACCEPTED, provider_id=provider_id_of(statuses[0].SerialNo))
    return read_code(statuses[0].Code)


def read_code(code: object) -> SendResult:
    """What one of its error codes means, of the whole request or of the one number."""
    text = str(code)
    outcome = _BY_CODE.get(text) or next((o for prefix, o in _BY_PREFIX if text.startswith(prefix)), None)
    return SendResult(outcome or Outcome.TRANSIENT, safe_error_code(text or "no_code"))
