"""Secrets from files, as Docker and Kubernetes mount them: ``NAME_FILE`` names the file that holds ``NAME``."""

from collections.abc import Iterable, Mapping
from pathlib import Path

SUFFIX = "_FILE"


class SecretFileError(ValueError):
    """Secrets cannot be read. The text has a line for each, with its variable; a path may be the secret itself."""


def value_of(name: str, environ: Mapping[str, str]) -> str:
    """The variable ``name``, or the text of the file that ``NAME_FILE`` names, without its last line end.

    It is empty if neither is set. Raises ``SecretFileError`` if both are, or if the file is missing, empty or no text.
    """
    value, path = environ.get(name, ""), environ.get(name + SUFFIX, "")
    if not path:
        return value
    if value:
        raise SecretFileError(f"{name} and {name}{SUFFIX} are both set: unset one")
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise SecretFileError(f"{name}{SUFFIX}: the file cannot be read: {error.strerror}") from None
    except ValueError:  # of UTF-8, or a zero byte in the path
        raise SecretFileError(f"{name}{SUFFIX}: the file is no text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretFileError(f"{name}{SUFFIX}: the file is empty")
    return text


def values_of(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """``value_of`` each name that has a value. Raises ``SecretFileError`` with all that is wrong."""
    values, wrong = {}, []
    for name in names:
        try:
            values[name] = value_of(name, environ)
        except SecretFileError as error:
            wrong.append(str(error))
    if wrong:
        raise SecretFileError("\n".join(wrong))
    return {name: value for name, value in values.items() if value}
