"""Which dialects there are, and which of them are switched on."""

import importlib
import pkgutil
from collections.abc import Iterable

import gateway.dialects
from gateway.dialect import Dialect


def installed_dialects() -> list[Dialect]:
    """Every module of ``gateway.dialects``: adding a dialect is adding a file."""
    names = [module.name for module in pkgutil.iter_modules(gateway.dialects.__path__)]
    return [importlib.import_module(f"gateway.dialects.{name}").DIALECT for name in sorted(names)]


def choose(dialects: Iterable[Dialect], names: Iterable[str]) -> list[Dialect]:
    """The dialects that are switched on: the named ones, or all when none is named. Raises ``ValueError``."""
    by_name = {dialect.name: dialect for dialect in dialects}
    wanted = list(names) or list(by_name)
    if unknown := set(wanted) - set(by_name):
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; known: {', '.join(by_name)}")
    return [by_name[name] for name in wanted]
