"""The fields of our log lines: none has a name whose value never reaches a line."""

import ast
from collections.abc import Iterator

from architecture.tree import Module, modules

from shared.process.logs import PRIVATE


def fields(module: Module) -> Iterator[str]:
    """The names of the fields of each line that the module logs."""
    for node in ast.walk(module.syntax):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "log"
        ):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def test_no_line_has_a_field_whose_value_is_never_written() -> None:
    named = [(module.where, name) for module in modules() for name in fields(module)]

    assert len(named) > 100
    assert [each for each in named if each[1] in PRIVATE] == []
