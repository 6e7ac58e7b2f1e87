"""Amazon SNS, through aiobotocore."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sms_service.senders.config import AwsConfig
from sms_service.senders.port import (
    SEND_SECONDS,
    Outcome,
    OutgoingMessage,
    SendResult,
    safe_error_code,
    safe_provider_id,
)

_BY_CODE = {
    "Throttling": Outcome.RATE_LIMITED,
    "ThrottlingException": Outcome.RATE_LIMITED,
    "Throttled": Outcome.RATE_LIMITED,
    "ThrottledException": Outcome.RATE_LIMITED,
    "RequestLimitExceeded": Outcome.RATE_LIMITED,
    "OptedOut": Outcome.PERMANENT,
    "UserError": Outcome.PERMANENT,
    "InvalidParameter": Outcome.PERMANENT,
    "InvalidParameterValue": Outcome.PERMANENT,
    "ParameterValueInvalid": Outcome.PERMANENT,
    "ValidationException": Outcome.PERMANENT,
    "ServiceUnavailable": Outcome.TRANSIENT,
}

for _name in ("aiobotocore", "botocore"):  # at level "debug" they log whole requests
    logging.getLogger(_name).setLevel(logging.WARNING)


class AwsSender:
    """Publishes a transactional message to a number. SNS has no receipts: it reports to CloudWatch only."""

    def __init__(self, name: str, config: AwsConfig, client: Any) -> None:
        self.name = name
        self._client = client
        self._attributes = {"AWS.SNS.SMS.SMSType": _string_attribute("Transactional")}
        if config.sender_id is not None:
            self._attributes["AWS.SNS.SMS.SenderID"] = _string_attribute(config.sender_id)

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: AwsConfig) -> AsyncIterator["AwsSender"]:
        """A sender whose connections last as long as the block. The library does not retry."""
        config_without_retries = AioConfig(
            connect_timeout=SEND_SECONDS,
            read_timeout=SEND_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            parameter_validation=True,
        )
        async with get_session().create_client(
            "sns",
            region_name=config.region,
            endpoint_url=config.endpoint_url,
            aws_access_key_id=config.access_key_id and config.access_key_id.get_secret_value(),
            aws_secret_access_key=config.secret_access_key and config.secret_access_key.get_secret_value(),
            config=config_without_retries,
        ) as client:
            yield cls(name, config, client)

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Publish the message once."""
        try:
            response = await self._client.publish(
                PhoneNumber=outgoing.to, Message=outgoing.text, MessageAttributes=self._attributes
            )
        except ClientError as error:
            return _error_result(error.response)
        except NoCredentialsError:
            return SendResult(Outcome.MISCONFIGURED, "no_credentials")
        except BotoCoreError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        provider_id = safe_provider_id(response.get("MessageId"))
        if not provider_id:
            return SendResult(Outcome.TRANSIENT, "malformed_response")
        return SendResult(Outcome.ACCEPTED, provider_id=provider_id)


def _error_result(response: Any) -> SendResult:
    error = response.get("Error", {})
    code, text = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        return SendResult(Outcome.TRANSIENT, safe_error_code(code or status))
    if code.startswith("InvalidParameter") and "PhoneNumber" in text:
        return SendResult(Outcome.INVALID_NUMBER, safe_error_code(code))
    if code in _BY_CODE:
        return SendResult(_BY_CODE[code], safe_error_code(code))
    if status == 429:
        return SendResult(Outcome.RATE_LIMITED, safe_error_code(code or status))
    outcome = Outcome.MISCONFIGURED if status in {400, 401, 403, 404} else Outcome.TRANSIENT
    return SendResult(outcome, safe_error_code(code or status))


def _string_attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}
