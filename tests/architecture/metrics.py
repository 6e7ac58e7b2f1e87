"""The metrics as the architecture tests see them: those that the code declares, and those that a text uses."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from architecture.tree import Module, modules

KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info")
SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(frozen=True)
class Metric:
    """A metric that a module declares."""

    name: str
    kind: str
    labels: tuple[str, ...]
    where: str


@cache
def declared() -> dict[str, Metric]:
    """Every metric of our code, by name."""
    return {metric.name: metric for module in modules() for metric in _in_module(module)}


def _in_module(module: Module) -> Iterator[Metric]:
    for node in ast.walk(module.syntax):
        kind = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        if kind in KINDS and isinstance(node, ast.Call) and node.args and _text(node.args[0]).startswith("haoma_"):
            labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else []
            yield Metric(_text(node.args[0]), kind, tuple(labels), module.where)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def used(expression: str) -> set[str]:
    """The metrics that a PromQL expression reads, without the suffixes of histograms."""
    names = set(re.findall(r"\bhaoma_[a-z_]+", expression))
    return {name if name in declared() else _without_suffix(name) for name in names}


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
