"""The types of fields that the tables of the settings file share."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

ENVIRON = "environ"
"""The key of pydantic's validation context that holds the environment variables."""


class ConfigTable(BaseModel):
    """A table of the file. An unknown key is an error, and errors do not repeat values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _from_environ(name: Any, info: ValidationInfo) -> SecretStr:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise ValueError("expected the name of an environment variable, such as TWILIO_AUTH_TOKEN")
    value = (info.context or {}).get(ENVIRON, {}).get(name, "")
    if not value:
        raise ValueError(f"{name} is not set in the environment")
    return SecretStr(value)


FromEnv = Annotated[SecretStr, BeforeValidator(_from_environ)]
"""A secret. The file names the environment variable that holds it."""
Word = Annotated[str, Field(min_length=1, max_length=128)]
Whole = Annotated[int, Field(strict=True)]
"""An integer written as one: neither ``true`` nor ``"80"``."""
AtLeastOne = Annotated[Whole, Field(ge=1)]
Prefix = Annotated[str, Field(pattern=r"^\+[0-9]{0,15}$")]
"""The beginning of a phone number: a plus sign and up to 15 digits."""
