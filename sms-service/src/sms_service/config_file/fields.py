"""The types of fields that the tables of the settings file share."""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.keys import active_tokens
from shared.process.environment.plain_errors import did_you_mean
from shared.process.environment.secret_files import value_of

UNKNOWN_KEY = "unknown_key"
"""The type of the error for a key that its table does not have. ``key`` in its context is the key."""
ENVIRON = "environ"
"""The key of pydantic's validation context that holds the environment variables."""


class ConfigTable(BaseModel):
    """A table of the file. An unknown key is an error, and errors do not repeat values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_an_unknown_key(cls, table: Any) -> Any:
        """Before anything else, because an unknown key is often the misspelling of a missing one."""
        if isinstance(table, dict) and cls.model_config.get("extra") == "forbid":
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in table:
                if key not in known:
                    hint = did_you_mean(str(key), known)
                    raise PydanticCustomError(UNKNOWN_KEY, "is no key of this table{hint}", {"key": key, "hint": hint})
        return table


def _from_environ(name: Any, info: ValidationInfo) -> SecretStr:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise ValueError("expected the name of an environment variable, such as TWILIO_AUTH_TOKEN")
    value = value_of(name, (info.context or {}).get(ENVIRON, {}))
    if not value:
        raise ValueError(f"{name} is not set in the environment")
    return SecretStr(value)


FromEnv = Annotated[SecretStr, BeforeValidator(_from_environ)]
"""A secret. The file names the environment variable that holds it."""


def _active(secret: SecretStr) -> SecretStr:
    active_tokens(secret.get_secret_value())
    return secret


ReplaceableFromEnv = Annotated[FromEnv, AfterValidator(_active)]
"""A secret that we share with the other side: one, or two with a comma between them while it is replaced."""
Word = Annotated[str, Field(min_length=1, max_length=128)]
Whole = Annotated[int, Field(strict=True)]
"""An integer written as one: neither ``true`` nor ``"80"``."""
AtLeastOne = Annotated[Whole, Field(ge=1)]


def _prefix(text: str) -> str:
    if not re.fullmatch(r"\+[0-9]{0,15}", text):
        raise ValueError('begins with + and has up to 15 digits, such as "+86"')
    return text


Prefix = Annotated[str, AfterValidator(_prefix)]
"""The beginning of a phone number: a plus sign and up to 15 digits."""
