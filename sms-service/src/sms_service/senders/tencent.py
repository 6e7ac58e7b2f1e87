"""Tencent Cloud SMS, through Tencent's own library."""

import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone

import httpx
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111.models import SendSmsRequest, SmsPackagesStatistics, SmsPackagesStatisticsRequest
from tencentcloud.sms.v20210111.sms_client_async import SmsClient

from sms_service.senders.config import TencentConfig
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
    # Signatures, templates, packages, permissions: for our operators to correct.
    ("FailedOperation", Outcome.MISCONFIGURED),
    ("AuthFailure", Outcome.MISCONFIGURED),
    ("UnauthorizedOperation", Outcome.MISCONFIGURED),
    ("UnsupportedOperation", Outcome.MISCONFIGURED),
    ("ResourceUnavailable", Outcome.MISCONFIGURED),
    ("MissingParameter", Outcome.MISCONFIGURED),
    ("InvalidParameter", Outcome.MISCONFIGURED),
)

_BEIJING = timezone(timedelta(hours=8))
_LONGEST_PACKAGE = timedelta(days=3 * 365)
_MAX_PACKAGES = 500
"""As many as one call returns."""

for _name in ("tencentcloud_sdk_common", "httpx", "httpcore"):  # at level "debug" they log whole requests
    logging.getLogger(_name).setLevel(logging.WARNING)


class TencentSender:
    """Fills an approved template. Receipts identify a message by the serial number in the response."""

    def __init__(self, name: str, config: TencentConfig, client: SmsClient) -> None:
        self.name = name
        self._config = config
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: TencentConfig) -> AsyncIterator["TencentSender"]:
        """A sender whose connections last as long as the block."""
        credential = Credential(config.secret_id.get_secret_value(), config.secret_key.get_secret_value())
        http = HttpProfile(
            protocol=config.scheme, endpoint=config.endpoint, reqTimeout=math.ceil(SEND_SECONDS), keepAlive=True
        )
        async with SmsClient(credential, config.region, ClientProfile(httpProfile=http)) as client:
            yield cls(name, config, client)

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Send the message once; the library's errors become results."""
        request = SendSmsRequest()
        request.PhoneNumberSet = [outgoing.to]
        request.SmsSdkAppId = self._config.app_id
        request.SignName = self._config.sign_name or None
        request.TemplateId = self._config.templates.template_for(outgoing.purpose, outgoing.language, outgoing.notice)
        minutes = str(max(1, math.ceil(outgoing.remaining.total_seconds() / 60)))
        request.TemplateParamSet = [{"code": outgoing.code, "minutes": minutes}[p] for p in self._config.parameters]
        request.SessionContext = str(outgoing.message_id)
        try:
            response = await self._client.SendSms(request)
        except TencentCloudSDKException as error:
            return parse_error_code(error.get_code() or "")
        except httpx.HTTPError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        except (ValueError, KeyError, TypeError, AttributeError):  # an HTML page, or JSON of another shape
            return SendResult(Outcome.TRANSIENT, "malformed_response")
        return _status_result(response.SendStatusSet)

    async def balance(self) -> Balance:
        """The messages that are left in all packages of the application that have not expired."""
        now = datetime.now(_BEIJING)
        request = SmsPackagesStatisticsRequest()
        request.SmsSdkAppId = self._config.app_id
        request.Limit, request.Offset = _MAX_PACKAGES, 0
        request.BeginTime = (now - _LONGEST_PACKAGE).strftime("%Y%m%d%H")
        request.EndTime = now.strftime("%Y%m%d%H")
        response = await self._client.SmsPackagesStatistics(request)
        packages: list[SmsPackagesStatistics] = response.SmsPackagesStatisticsSet
        left = sum(
            package.PackageAmount - package.CurrentUsage
            for package in packages
            if package.PackageExpiredTime > time.time()
        )
        return Balance(float(left), "messages")


def _status_result(statuses: object) -> SendResult:
    if not isinstance(statuses, list) or len(statuses) != 1:
        return SendResult(Outcome.TRANSIENT, "malformed_response")
    if statuses[0].Code == "Ok":
        return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(statuses[0].SerialNo))
    return parse_error_code(statuses[0].Code)


def parse_error_code(code: object) -> SendResult:
    """The result of an error code, of the whole request or of its one number."""
    text = str(code)
    outcome = _BY_CODE.get(text) or next((o for prefix, o in _BY_PREFIX if text.startswith(prefix)), None)
    return SendResult(outcome or Outcome.TRANSIENT, safe_error_code(text or "no_code"))
