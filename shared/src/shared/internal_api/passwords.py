"""Passwords as they cross to auth-service. None of them is ever logged or stored."""

from typing import Annotated

from pydantic import Field, StringConstraints

SecretText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Secret = Annotated[SecretText, Field(repr=False)]
"""A password as the lower-case md5 hex of its UTF-8 bytes. That is its encoding on the wire; argon2id is stored."""

MAX_PLAIN_LENGTH = 1_024
PlainText = Annotated[str, StringConstraints(max_length=MAX_PLAIN_LENGTH)]
"""The same password in plain text, if the client sent it so: most imported digests cannot be compared with an md5."""
