"""What the settings file says of each kind of sender. Credentials are names of environment variables there."""

import re
from itertools import product
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr

from shared.internal_api.sms import Language, Purpose
from sms_service.config_file.addresses import Host, HostAndPort, HttpUrl
from sms_service.config_file.fields import AtLeastOne, ConfigTable, FromEnv, Prefix, Whole, Word
from sms_service.delivery.routing import Limits
from sms_service.spending.money import micros


class LimitsPart(ConfigTable):
    """Messages for one number, in rolling windows."""

    per_minute: AtLeastOne | None = None
    per_hour: AtLeastOne | None = None
    per_day: AtLeastOne | None = None


def micros_of(amount: Any) -> int:
    """An amount of money in the file: text, so that no fraction is rounded before we see it."""
    return micros(amount if isinstance(amount, str) else "")


Prices = dict[Prefix, Annotated[int, BeforeValidator(micros_of)]]
"""What one segment costs to numbers with a prefix; the longest decides."""


class _Sender(ConfigTable):
    limits: LimitsPart = LimitsPart()
    prices: Prices = Field(default_factory=dict)

    @property
    def own_limits(self) -> Limits:
        """The limits on what it is given for one number."""
        return Limits(self.limits.per_minute, self.limits.per_hour, self.limits.per_day)


class InboxConfig(_Sender):
    """Development: messages go to the SMS inbox."""

    type: Literal["inbox"]


class WebhookConfig(_Sender):
    """A signed POST to a service of the operator's own."""

    type: Literal["webhook"]
    url: HttpUrl
    secret: FromEnv = Field(alias="secret_env")


class TwilioConfig(_Sender):
    """Twilio's Messages API. One of ``from_number`` and ``messaging_service_sid``."""

    type: Literal["twilio"]
    account_sid: Word
    auth_token: FromEnv = Field(alias="auth_token_env")
    from_number: Annotated[str, Field(pattern=r"^\+?[A-Za-z0-9 ]{3,15}$")] | None = None
    messaging_service_sid: Word | None = None
    base_url: HttpUrl | None = None


def _occasion(name: str) -> str:
    if name not in _OCCASIONS:
        raise ValueError("is no purpose (such as sign_up), no language (such as en), and not both (such as sign_up_en)")
    return name


_OCCASIONS = frozenset(
    (*Purpose, *Language, *(f"{purpose}_{language}" for purpose, language in product(Purpose, Language)))
)


class Templates(ConfigTable):
    """The provider's ids of approved templates: ``default``, or one for a purpose, or for purpose and language."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[Annotated[str, AfterValidator(_occasion)], Word]

    default: Word

    def find(self, purpose: Purpose, language: Language) -> str:
        """The most particular one there is, such as ``sign_up_en`` before ``sign_up`` before ``en``."""
        given = self.__pydantic_extra__
        names = (f"{purpose.value}_{language.value}", purpose.value, language.value)
        return next((given[name] for name in names if name in given), self.default)


GATEWAY_LIMITS = LimitsPart(per_minute=1, per_hour=5, per_day=10)
"""What mainland gateways allow for one number and signature; a message beyond it is refused there and costs trust."""


class AliyunConfig(_Sender):
    """Aliyun (Alibaba Cloud) SMS. ``endpoint`` is a host, for another region or a test."""

    type: Literal["aliyun"]
    access_key_id: FromEnv = Field(alias="access_key_id_env")
    access_key_secret: FromEnv = Field(alias="access_key_secret_env")
    sign_name: Word
    templates: Templates
    code_parameter: Word = "code"
    endpoint: HostAndPort = "dysmsapi.aliyuncs.com"
    scheme: Literal["https", "http"] = "https"
    receipt_key: FromEnv | None = Field(default=None, alias="receipt_key_env")
    limits: LimitsPart = GATEWAY_LIMITS


def _with_code(parameters: tuple[str, ...]) -> tuple[str, ...]:
    if "code" not in parameters:
        raise ValueError('needs "code": no message would hold one')
    return parameters


class TencentConfig(_Sender):
    """Tencent Cloud SMS. ``parameters`` are what the templates take, in their order."""

    type: Literal["tencent"]
    secret_id: FromEnv = Field(alias="secret_id_env")
    secret_key: FromEnv = Field(alias="secret_key_env")
    app_id: Word
    sign_name: str = ""
    templates: Templates
    parameters: Annotated[tuple[Literal["code", "minutes"], ...], AfterValidator(_with_code)] = ("code", "minutes")
    region: Word = "ap-guangzhou"
    endpoint: HostAndPort = "sms.tencentcloudapi.com"
    scheme: Literal["https", "http"] = "https"
    receipt_key: FromEnv | None = Field(default=None, alias="receipt_key_env")
    limits: LimitsPart = LimitsPart(per_minute=2, per_day=10)


class AwsConfig(_Sender):
    """Amazon SNS. Without the two keys, the credentials of the machine (role, profile) are used."""

    type: Literal["aws"]
    region: Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
    access_key_id: FromEnv | None = Field(default=None, alias="access_key_id_env")
    secret_access_key: FromEnv | None = Field(default=None, alias="secret_access_key_env")
    sender_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,11}$")] | None = None
    endpoint_url: Annotated[HttpUrl, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/.*)?$")] | None = None


def _smpp_password(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[ -~]{1,8}", secret.get_secret_value()):
        raise ValueError("the variable must hold 8 characters of ASCII at most: SMPP has no room for more")
    return secret


class SmppConfig(_Sender):
    """A carrier's SMS centre, by SMPP 3.4, whose fields are ASCII and short."""

    type: Literal["smpp"]
    host: Host
    port: Whole = Field(default=2775, ge=1, le=65535)
    system_id: Annotated[str, Field(pattern=r"^[!-~]{1,15}$")]
    password: Annotated[FromEnv, AfterValidator(_smpp_password)] = Field(alias="password_env")
    source: Annotated[str, Field(pattern=r"^(\+?[0-9]{1,20}|[A-Za-z0-9]{1,11})$")]


SenderConfig: TypeAlias = (
    InboxConfig | WebhookConfig | TwilioConfig | AliyunConfig | TencentConfig | AwsConfig | SmppConfig
)
