"""Which dialects are installed, and which of them are switched on."""

import importlib
import pkgutil
from collections.abc import Iterable

import gateway.dialects
from gateway.dialect import Dialect


def installed_dialects() -> list[Dialect]:
    """Every module of ``gateway.dialects``, by name. A new file there is a new dialect."""
    names = [module.name for module in pkgutil.iter_modules(gateway.dialects.__path__)]
    return [importlib.import_module(f"gateway.dialects.{name}").DIALECT for name in sorted(names)]


def choose(dialects: Iterable[Dialect], names: Iterable[str]) -> list[Dialect]:
    """The named dialects, or all of them if ``names`` is empty. Raises ``ValueError`` for an unknown name."""
    by_name = {dialect.name: dialect for dialect in dialects}
    chosen = list(names) or list(by_name)
    if unknown := set(chosen) - set(by_name):
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; known: {', '.join(by_name)}")
    return [by_name[name] for name in chosen]
