"""Values: small dataclasses that every request creates."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A dataclass with a hash, whose fields the type checker lets no code change.

    ``frozen=True`` would refuse a change at run time too, and takes twice as long to make an object (decision 92).
    """
    return dataclass(unsafe_hash=True)(cls)
