"""Verifies and reads the receipt callbacks of each type of sender."""

import base64
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from pydantic import SecretStr

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import TakeReceipt
from shared.keys import active_tokens
from shared.webhooks.signature import WebhookKey
from sms_service.receipts.receipts import ReceiptBatch, ReceiptCallback, ReceiptReader
from sms_service.senders.config import AliyunConfig, SenderConfig, TencentConfig, TwilioConfig, WebhookConfig
from sms_service.senders.libraries import MissingLibraryError
from sms_service.senders.port import DeliveryStatus, Receipt, safe_error_code, safe_provider_id


def readers(configs: Mapping[str, SenderConfig]) -> dict[str, ReceiptReader]:
    """A reader for each sender whose receipts come over HTTP. Raises ``MissingLibraryError``."""
    by_name: dict[str, ReceiptReader] = {}
    for name, config in configs.items():
        if isinstance(config, WebhookConfig):
            by_name[name] = WebhookReader(config)
        elif isinstance(config, TwilioConfig):
            by_name[name] = TwilioReader(config)
        elif isinstance(config, AliyunConfig) and config.receipt_key is not None:
            by_name[name] = AliyunReader(config.receipt_key)
        elif isinstance(config, TencentConfig) and config.receipt_key is not None:
            by_name[name] = TencentReader(config.receipt_key)
    return by_name


def callback(request: TakeReceipt, receipts_url: str) -> ReceiptCallback:
    """The provider's call that the gateway forwarded. Raises ``PARAMETER_INVALID`` if it is malformed."""
    try:
        query = dict(parse_qsl(request.query, keep_blank_values=True, max_num_fields=10))
        body = base64.b64decode(request.body, validate=True)
    except ValueError:
        raise _malformed() from None
    url = f"{receipts_url}/{request.sender}" + (f"?{request.query}" if request.query else "")
    return ReceiptCallback(url, query, request.headers, body)


class WebhookReader:
    """Reads ``{"id", "status": "delivered" | "failed", "detail"?}``, signed as our own posts.

    ``id`` is our message id, or the id that the sender returned when it accepted the message.
    """

    def __init__(self, config: WebhookConfig) -> None:
        self._key = WebhookKey(config.secret.get_secret_value())

    def read(self, callback: ReceiptCallback) -> ReceiptBatch:
        """The one receipt of a callback."""
        if not self._key.verifies(callback.headers, callback.body):
            raise _forged()
        report = _json(callback.body)
        if not isinstance(report, dict) or report.get("status") not in tuple(DeliveryStatus):
            raise _malformed()
        detail = safe_error_code(report.get("detail") or "")
        status, reported = DeliveryStatus(report["status"]), report.get("id")
        return ReceiptBatch([Receipt(status, _uuid(reported), safe_provider_id(reported), detail)])


class TwilioReader:
    """Reads a form, signed over the URL and the form with the account's token. The URL has our message id as ``m``."""

    def __init__(self, config: TwilioConfig) -> None:
        try:
            # The API process needs only this module of the library, and only if there is such a sender.
            from twilio.request_validator import RequestValidator  # noqa: PLC0415
        except ImportError as error:
            raise MissingLibraryError("twilio", error) from error
        self._validator = RequestValidator(config.auth_token.get_secret_value())

    def read(self, callback: ReceiptCallback) -> ReceiptBatch:
        """One receipt, or none while the message is still in transit."""
        try:
            form = dict(parse_qsl(callback.body.decode(), keep_blank_values=True, max_num_fields=100))
        except ValueError:
            raise _malformed() from None
        signature = callback.headers.get("x-twilio-signature", "")
        if not signature.isascii() or not self._validator.validate(callback.url, form, signature):
            raise _forged()
        status = _TWILIO_STATUSES.get(form.get("MessageStatus", ""))
        if status is None:
            return ReceiptBatch([])
        message_id, provider_id = _uuid(callback.query.get("m")), safe_provider_id(form.get("MessageSid"))
        return ReceiptBatch([Receipt(status, message_id, provider_id, safe_error_code(form.get("ErrorCode", "")))])


_TWILIO_STATUSES = {
    "delivered": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.FAILED,
}


class AliyunReader:
    """Reads a list of reports with our message id as ``out_id``. Aliyun signs nothing: the URL has a secret key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def read(self, callback: ReceiptCallback) -> ReceiptBatch:
        """All receipts of one callback."""
        _verify_key(self._key, callback)
        receipts = [
            Receipt(
                DeliveryStatus.DELIVERED if report.get("success") is True else DeliveryStatus.FAILED,
                _uuid(report.get("out_id")),
                safe_provider_id(report.get("biz_id")),
                safe_error_code(report.get("err_code") or ""),
            )
            for report in _reports(callback.body)
        ]
        return ReceiptBatch(receipts, '{"code":0,"msg":"ok"}')


class TencentReader:
    """Reads a list of reports with Tencent's id as ``sid``. Tencent signs nothing: the URL has a secret key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def read(self, callback: ReceiptCallback) -> ReceiptBatch:
        """All receipts of one callback."""
        _verify_key(self._key, callback)
        receipts = [
            Receipt(
                DeliveryStatus.DELIVERED if report.get("report_status") == "SUCCESS" else DeliveryStatus.FAILED,
                provider_id=safe_provider_id(report.get("sid")),
                detail=safe_error_code(report.get("errmsg") or ""),
            )
            for report in _reports(callback.body)
        ]
        return ReceiptBatch(receipts, '{"result":0,"errmsg":"OK"}')


def _verify_key(keys: SecretStr, callback: ReceiptCallback) -> None:
    """Accept the key, or either of two while it is replaced."""
    candidate = callback.query.get("key", "").encode(errors="replace")
    matches = [hmac.compare_digest(candidate, key.encode()) for key in active_tokens(keys.get_secret_value())]
    if not any(matches):
        raise _forged()


def _reports(body: bytes) -> list[dict[str, Any]]:
    reports = _json(body)
    if not isinstance(reports, list) or not all(isinstance(report, dict) for report in reports):
        raise _malformed()
    return reports


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise _malformed() from None


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _forged() -> ServiceError:
    return ServiceError(ErrorCode.UNAUTHENTICATED)


def _malformed() -> ServiceError:
    return ServiceError(ErrorCode.PARAMETER_INVALID, field="body")
