"""The tables of the settings file for each type of sender. Credentials are named there as environment variables."""

import re
from itertools import product
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from shared.internal_api.sms import AccountNotice, Language, Purpose
from sms_service.config_file.addresses import Host, HostAndPort, HttpUrl
from sms_service.config_file.fields import AtLeastOne, ConfigTable, FromEnv, ReplaceableFromEnv, Whole, Word
from sms_service.senders.limits import SenderLimits
from sms_service.spending.config import Prices


class LimitsPart(ConfigTable):
    """Messages to one number, in rolling windows."""

    per_minute: AtLeastOne | None = None
    per_hour: AtLeastOne | None = None
    per_day: AtLeastOne | None = None


class SenderTable(ConfigTable):
    """The keys that all types of senders share."""

    limits: LimitsPart = LimitsPart()
    prices: Prices = Field(default_factory=dict)

    @property
    def sender_limits(self) -> SenderLimits:
        """How many messages the sender may be given for one number."""
        return SenderLimits(self.limits.per_minute, self.limits.per_hour, self.limits.per_day)


class PrepaidTable(SenderTable):
    """The keys of types whose provider tells the balance. It is read only if ``warn_below_balance`` is set."""

    warn_below_balance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class InboxConfig(SenderTable):
    """The SMS inbox, in development only."""

    type: Literal["inbox"]


class WebhookConfig(SenderTable):
    """A signed POST to the operator's own service."""

    type: Literal["webhook"]
    url: HttpUrl
    secret: ReplaceableFromEnv = Field(alias="secret_env")


class TwilioConfig(PrepaidTable):
    """Twilio's Messages API, with either ``from_number`` or ``messaging_service_sid``."""

    type: Literal["twilio"]
    account_sid: Word
    auth_token: FromEnv = Field(alias="auth_token_env")
    from_number: Annotated[str, Field(pattern=r"^\+?[A-Za-z0-9 ]{3,15}$")] | None = None
    messaging_service_sid: Word | None = None
    base_url: HttpUrl | None = None


def _template_key(name: str) -> str:
    if name not in _TEMPLATE_KEYS:
        raise ValueError(
            "expected a purpose (such as sign_up), a notice (such as registered), a language (such as en) or two of "
            "these (such as sign_up_en)"
        )
    return name


_TEMPLATE_WORDS = (*Purpose, *(notice for notice in AccountNotice if notice))
_TEMPLATE_KEYS = frozenset(
    (*_TEMPLATE_WORDS, *Language, *(f"{word}_{language}" for word, language in product(_TEMPLATE_WORDS, Language)))
)


class Templates(ConfigTable):
    """The provider's ids of approved templates: a ``default``, and more for a purpose, a notice, a language or both."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[Annotated[str, AfterValidator(_template_key)], Word]

    default: Word

    def template_for(self, purpose: Purpose, language: Language, notice: AccountNotice = AccountNotice.NONE) -> str:
        """The most specific template: ``sign_up_en`` before ``sign_up`` before ``en`` before ``default``.

        Those of a notice (``registered_en``, ``registered``) come before all of these.
        """
        templates = self.__pydantic_extra__
        words = [word for word in (notice.value, purpose.value) if word]
        names = [name for word in words for name in (f"{word}_{language.value}", word)] + [language.value]
        return next((templates[name] for name in names if name in templates), self.default)


GATEWAY_LIMITS = LimitsPart(per_minute=1, per_hour=5, per_day=10)
"""What mainland Chinese gateways allow per number and signature. They refuse more, and the account loses trust."""


class AliyunConfig(PrepaidTable):
    """Aliyun (Alibaba Cloud) SMS. ``endpoint`` is a host: another region's, or a test server's."""

    type: Literal["aliyun"]
    access_key_id: FromEnv = Field(alias="access_key_id_env")
    access_key_secret: FromEnv = Field(alias="access_key_secret_env")
    sign_name: Word
    templates: Templates
    code_parameter: Word = "code"
    endpoint: HostAndPort = "dysmsapi.aliyuncs.com"
    balance_endpoint: HostAndPort = "business.aliyuncs.com"
    scheme: Literal["https", "http"] = "https"
    receipt_key: ReplaceableFromEnv | None = Field(default=None, alias="receipt_key_env")
    limits: LimitsPart = GATEWAY_LIMITS


def _contains_code(parameters: tuple[str, ...]) -> tuple[str, ...]:
    if "code" not in parameters:
        raise ValueError('must contain "code", or messages would have no code')
    return parameters


class TencentConfig(PrepaidTable):
    """Tencent Cloud SMS. ``parameters`` are those of the templates, in their order."""

    type: Literal["tencent"]
    secret_id: FromEnv = Field(alias="secret_id_env")
    secret_key: FromEnv = Field(alias="secret_key_env")
    app_id: Word
    sign_name: str = ""
    templates: Templates
    parameters: Annotated[tuple[Literal["code", "minutes"], ...], AfterValidator(_contains_code)] = ("code", "minutes")
    region: Word = "ap-guangzhou"
    endpoint: HostAndPort = "sms.tencentcloudapi.com"
    scheme: Literal["https", "http"] = "https"
    receipt_key: ReplaceableFromEnv | None = Field(default=None, alias="receipt_key_env")
    limits: LimitsPart = LimitsPart(per_minute=2, per_day=10)


class AwsConfig(SenderTable):
    """Amazon SNS. Without the two keys, the credentials of the machine (role, profile) are used."""

    type: Literal["aws"]
    region: Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
    access_key_id: FromEnv | None = Field(default=None, alias="access_key_id_env")
    secret_access_key: FromEnv | None = Field(default=None, alias="secret_access_key_env")
    sender_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,11}$")] | None = None
    endpoint_url: Annotated[HttpUrl, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/.*)?$")] | None = None


def _smpp_password(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[ -~]{1,8}", secret.get_secret_value()):
        raise ValueError("the variable must contain at most 8 ASCII characters, the limit of SMPP")
    return secret


class SmppConfig(SenderTable):
    """A carrier's SMS centre, by SMPP 3.4, whose fields are short ASCII strings."""

    type: Literal["smpp"]
    host: Host
    port: Whole = Field(default=2775, ge=1, le=65535)
    system_id: Annotated[str, Field(pattern=r"^[!-~]{1,15}$")]
    password: Annotated[FromEnv, AfterValidator(_smpp_password)] = Field(alias="password_env")
    source: Annotated[str, Field(pattern=r"^(\+?[0-9]{1,20}|[A-Za-z0-9]{1,11})$")]


SenderConfig: TypeAlias = (
    InboxConfig | WebhookConfig | TwilioConfig | AliyunConfig | TencentConfig | AwsConfig | SmppConfig
)
