"""What a field of a contract is for, by its name: what varies, what comes back in later calls, what no report shows."""

from enum import StrEnum
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Role(StrEnum):
    """The role of a field. A field without one is compared as it is."""

    NUMBER = "number"
    CONTACT = "contact"
    """A number of someone else."""
    CALLING_CODE = "calling code"
    PASSWORD = "password"  # noqa: S105  a role, not a password
    CODE = "code"
    """The code of a message to the number of the call."""
    OWN_CODE = "code of the user's own number"
    TOKEN = "token"  # noqa: S105  as above
    """A text that a back end issued. Each issues another one, and later calls send it back."""
    ID = "id"
    """The id of an account: the same for a user who moved in, another for one who registers in the recording."""
    CREATED = "created"
    """When an account was created: as with its id."""
    NAME = "login name"
    VARYING = "varying"
    """Differs from one answer to the next: only its form is compared."""


_NAMES = {
    Role.NUMBER: "phone phone_number phoneNumber number",
    Role.CONTACT: "phones phoneNumbers Contact.phone",
    Role.CALLING_CODE: "dialCode countryCode",
    Role.PASSWORD: "password pwd current",
    Role.CODE: "verify_code vcode captcha CheckChallenge.code CheckNumber.code Register.code",
    Role.OWN_CODE: "oldCaptcha",
    Role.TOKEN: "token tmp_token phoneInfo MessageSent.result access_token refresh_token challenge ticket old_ticket "
    "new_ticket id session_id",
    Role.ID: "userId user_id uuid",
    Role.CREATED: "createTime create_time created_at",
    Role.NAME: "Register.name User.name",
    Role.VARYING: "timestamp lastLoginTime refreshTime opened_at expires_in resend_after retry_after budget_left "
    "exported_at updated_at last_login_at last_used_at password_changed_at requested_at finished_at last_at at "
    "issuer jwks_uri kid x y",
}
ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
"""By ``Model.field`` or by ``field``, which are the names on the wire."""

_PLAIN_NAMES = (
    "source client locale purpose action success status code error error_code error_message errorCode msg message data",
    "result tel type title detail field tries_left level ban banTime ssid email validate validateAddon version name",
    "nickName nickname nick_name gender motto signature avatar avatar_thumnail portrait portraitSmall coverImg",
    "cover_img discoverable dialect sessions account tokens token_type matches keys kty crv use alg",
    "id_token_signing_alg_values_supported subject_types_supported registered_with registered_by has_password network",
    "is_imported known_networks contacts entry visible look_ups numbers messages language state sender code_events",
    "kind activity by_operator thumbnail cover",
)
PLAIN = frozenset(name for names in _PLAIN_NAMES for name in names.split())
"""The fields that have no role. A test compares both lists with all contracts."""


def role_of(name: str, *models: type[BaseModel] | None) -> Role | None:
    """The role of a field of one of the models, or of any model."""
    qualified = (ROLES.get(f"{model.__name__}.{name}") for model in models if model is not None)
    return next(filter(None, qualified), ROLES.get(name))


def fields_of(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """The fields of a model by their names on the wire."""
    if model is None:
        return {}
    fields = model.model_fields.items()
    return {info.serialization_alias or info.alias or name: info for name, info in fields}


def inner_model(info: FieldInfo | None) -> type[BaseModel] | None:
    """The model inside the type of a field, also in a list or beside None."""
    waiting = [info.annotation] if info else []
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        waiting.extend(get_args(kind))
    return None
