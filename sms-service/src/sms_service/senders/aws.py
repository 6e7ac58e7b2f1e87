"""Amazon SNS, by aiobotocore."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sms_service.senders.config import AwsConfig
from sms_service.senders.port import SEND_SECONDS, Message, Outcome, SendResult, provider_id_of, safe_error_code

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

for _name in ("aiobotocore", "botocore"):  # at "debug" they log whole requests
    logging.getLogger(_name).setLevel(logging.WARNING)


class AwsSender:
    """Publishes to a number as a transactional message. Delivery status goes to CloudWatch, so there is no receipt."""

    def __init__(self, name: str, config: AwsConfig, client: Any) -> None:
        self.name = name
        self._client = client
        self._attributes = {"AWS.SNS.SMS.SMSType": _text("Transactional")}
        if config.sender_id is not None:
            self._attributes["AWS.SNS.SMS.SenderID"] = _text(config.sender_id)

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: AwsConfig) -> AsyncIterator["AwsSender"]:
        """A sender with connections that last as long as the block. The library is told to send each request once."""
        once = AioConfig(
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
            config=once,
        ) as client:
            yield cls(name, config, client)

    async def send(self, message: Message) -> SendResult:
        """Publish it once."""
        try:
            published = await self._client.publish(
                PhoneNumber=message.to, Message=message.text, MessageAttributes=self._attributes
            )
        except ClientError as error:
            return _refusal(error.response)
        except NoCredentialsError:
            return SendResult(Outcome.MISCONFIGURED, "no_credentials")
        except BotoCoreError as error:
            return SendResult(Outcome.TRANSIENT, safe_error_code(type(error).__name__))
        found = provider_id_of(published.get("MessageId"))
        return SendResult(Outcome.ACCEPTED, provider_id=found) if found else SendResult(Outcome.TRANSIENT, "nonsense")


def _refusal(response: Any) -> SendResult:
    error = response.get("Error", {})
    code, said = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        return SendResult(Outcome.TRANSIENT, safe_error_code(code or status))
    if code.startswith("InvalidParameter") and "PhoneNumber" in said:
        return SendResult(Outcome.INVALID_NUMBER, safe_error_code(code))
    if code in _BY_CODE:
        return SendResult(_BY_CODE[code], safe_error_code(code))
    if status == 429:
        return SendResult(Outcome.RATE_LIMITED, safe_error_code(code or status))
    return SendResult(
        Outcome.MISCONFIGURED if status in {400, 401, 403, 404} else Outcome.TRANSIENT, safe_error_code(code or status)
    )


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}
