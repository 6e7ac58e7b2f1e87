"""How each kind of sender signs its receipts, and what they say."""

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
from sms_service.receipts.receipts import Callback, DeliveryStatus, Reader, Reading, Receipt
from sms_service.senders.config import AliyunConfig, SenderConfig, TencentConfig, TwilioConfig, WebhookConfig
from sms_service.senders.libraries import MissingLibraryError
from sms_service.senders.port import provider_id_of, safe_error_code
from sms_service.senders.webhook_signature import WebhookKey


def readers(configs: Mapping[str, SenderConfig]) -> dict[str, Reader]:
    """A reader for each sender of which receipts are taken over HTTP. Raises ``MissingLibraryError``."""
    found: dict[str, Reader] = {}
    for name, config in configs.items():
        if isinstance(config, WebhookConfig):
            found[name] = WebhookReader(config)
        elif isinstance(config, TwilioConfig):
            found[name] = TwilioReader(config)
        elif isinstance(config, AliyunConfig) and config.receipt_key is not None:
            found[name] = AliyunReader(config.receipt_key)
        elif isinstance(config, TencentConfig) and config.receipt_key is not None:
            found[name] = TencentReader(config.receipt_key)
    return found


def callback(call: TakeReceipt, callbacks: str) -> Callback:
    """A call as the provider made it. Raises ``PARAMETER_INVALID`` when it cannot have been made so."""
    try:
        query = dict(parse_qsl(call.query, keep_blank_values=True, max_num_fields=10))
        body = base64.b64decode(call.body, validate=True)
    except ValueError:
        raise _malformed_response() from None
    url = f"{callbacks}/{call.sender}" + (f"?{call.query}" if call.query else "")
    return Callback(url, query, call.headers, body)


class WebhookReader:
    """Signed as we sign: ``{"id", "status": "delivered" | "failed", "detail"?}``, with our own id of the message."""

    def __init__(self, config: WebhookConfig) -> None:
        self._key = WebhookKey(config.secret.get_secret_value())

    def read(self, callback: Callback) -> Reading:
        """One receipt."""
        if not self._key.verifies(callback.headers, callback.body):
            raise _forged()
        given = _json(callback.body)
        if not isinstance(given, dict) or given.get("status") not in tuple(DeliveryStatus):
            raise _malformed_response()
        message_id = _uuid(given.get("id"))
        return Reading(
            [Receipt(DeliveryStatus(given["status"]), message_id, detail=safe_error_code(given.get("detail") or ""))]
        )


class TwilioReader:
    """Signed with the account's token over the URL and the form; our id is in the URL, as ``m``."""

    def __init__(self, config: TwilioConfig) -> None:
        try:
            # The API process needs this one module of the library, and only when there is such a sender.
            from twilio.request_validator import RequestValidator  # noqa: PLC0415
        except ImportError as error:
            raise MissingLibraryError("twilio", error) from error
        self._validator = RequestValidator(config.auth_token.get_secret_value())

    def read(self, callback: Callback) -> Reading:
        """One receipt, or none while the message is still on its way."""
        try:
            form = dict(parse_qsl(callback.body.decode(), keep_blank_values=True, max_num_fields=100))
        except ValueError:
            raise _malformed_response() from None
        signature = callback.headers.get("x-twilio-signature", "")
        if not signature.isascii() or not self._validator.validate(callback.url, form, signature):
            raise _forged()
        fate = _TWILIO.get(form.get("MessageStatus", ""))
        if fate is None:
            return Reading([])
        message_id = _uuid(callback.query.get("m"))
        return Reading(
            [
                Receipt(
                    fate, message_id, provider_id_of(form.get("MessageSid")), safe_error_code(form.get("ErrorCode", ""))
                )
            ]
        )


_TWILIO = {
    "delivered": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.FAILED,
}


class AliyunReader:
    """Not signed by Aliyun: the address it was given holds a key. A list of reports, with our id as ``out_id``."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def read(self, callback: Callback) -> Reading:
        """All the reports of one call."""
        _demand(self._key, callback)
        receipts = [
            Receipt(
                DeliveryStatus.DELIVERED if report.get("success") is True else DeliveryStatus.FAILED,
                _uuid(report.get("out_id")),
                provider_id_of(report.get("biz_id")),
                safe_error_code(report.get("err_code") or ""),
            )
            for report in _list(callback.body)
        ]
        return Reading(receipts, '{"code":0,"msg":"ok"}')


class TencentReader:
    """Not signed by Tencent: the address it was given holds a key. A list of reports, known by ``sid``."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def read(self, callback: Callback) -> Reading:
        """All the reports of one call."""
        _demand(self._key, callback)
        receipts = [
            Receipt(
                DeliveryStatus.DELIVERED if report.get("report_status") == "SUCCESS" else DeliveryStatus.FAILED,
                provider_id=provider_id_of(report.get("sid")),
                detail=safe_error_code(report.get("errmsg") or ""),
            )
            for report in _list(callback.body)
        ]
        return Reading(receipts, '{"result":0,"errmsg":"OK"}')


def _demand(key: SecretStr, callback: Callback) -> None:
    given = callback.query.get("key", "").encode(errors="replace")
    if not hmac.compare_digest(given, key.get_secret_value().encode()):
        raise _forged()


def _list(body: bytes) -> list[dict[str, Any]]:
    given = _json(body)
    if not isinstance(given, list) or not all(isinstance(report, dict) for report in given):
        raise _malformed_response()
    return given


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise _malformed_response() from None


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _forged() -> ServiceError:
    return ServiceError(ErrorCode.UNAUTHENTICATED)


def _malformed_response() -> ServiceError:
    return ServiceError(ErrorCode.PARAMETER_INVALID, field="body")
