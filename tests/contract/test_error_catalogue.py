"""docs/errors.md, in both languages: every refusal has its place, its status, and what each contract says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from gateway.http.operations import Operation
from shared.errors import STATUS, ErrorCode, ServiceError

DOCS = Path(__file__).parents[2] / "docs"
PAGES = pytest.mark.parametrize("page", ["errors.md", "zh/errors.md"])
COLUMNS = ("native", "maitian", "phone_info", "register_page", "tel")
SAYS = {"native": "status", "maitian": "error_code", "phone_info": "code", "register_page": "errorCode", "tel": "error"}
"""The field of a refusal that tells one from another, in each contract."""
UNSAID = {"native": None, "maitian": 200, "phone_info": 400, "register_page": 200, "tel": None}
"""The HTTP status that the table leaves out."""
EVERYWHERE = {
    ErrorCode.PARAMETER_MISSING,
    ErrorCode.PARAMETER_INVALID,
    ErrorCode.APP_KEY_REFUSED,
    ErrorCode.NOT_FOUND,
    ErrorCode.METHOD_NOT_ALLOWED,
    ErrorCode.UNAVAILABLE,
    ErrorCode.INTERNAL,
}
"""The refusals that any path may get."""


def fields_of(route: Operation, code: ErrorCode) -> list[str | None]:
    """The parameters that a refusal of this call may name."""
    if code is not ErrorCode.PARAMETER_MISSING or not route.parameters:
        return [None]
    fields = [field for model in route.parameters for field in model.model_fields.items()]
    return [name for name, field in fields if field.is_required()] or [None]


def said(dialect: Dialect, code: ErrorCode) -> Iterator[str]:
    """What each call of a contract says of this refusal, as a cell of the table writes it."""
    for route in dialect.routes:
        if code in EVERYWHERE or code in route.refusals:
            for field in fields_of(route, code):
                response = dialect.render_error(ServiceError(code, field=field), route.path)
                word = str(json.loads(response.body)[SAYS[dialect.name]])
                status = "" if response.status == UNSAID[dialect.name] else f"{response.status} "
                yield word if dialect.name == "native" else f"{status}{word}"


def table() -> list[str]:
    """The rows of the table, as the code of the dialects has them."""
    dialects = {dialect.name: dialect for dialect in installed_dialects()}
    assert set(dialects) == set(COLUMNS)
    cells = {
        code: [" · ".join(sorted(set(said(dialects[name], code)))) or "–" for name in COLUMNS] for code in ErrorCode
    }
    return [f"| [`{code}`](#{code}) | {' | '.join(row)} |" for code, row in cells.items()]


@PAGES
def test_every_code_has_a_heading_of_its_own(page: str) -> None:
    headings = re.findall(r"^### (.+)$", (DOCS / page).read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ErrorCode)


@PAGES
def test_every_code_has_its_http_status_and_advice_for_app_and_operator(page: str) -> None:
    text = (DOCS / page).read_text()
    for code, status in STATUS.items():
        entry: Any = re.search(rf"^### {code}\n\n(\d+)[.。].*?\n\n- \*\*.*?\n- \*\*", text, re.MULTILINE | re.DOTALL)
        assert entry, f"{code} has no status, or no two lines of advice"
        assert "###" not in entry[0][4:], f"{code} has no two lines of advice"
        assert int(entry[1]) == status


@PAGES
def test_the_table_says_what_each_contract_says(page: str) -> None:
    rows = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("| [`")]
    assert rows == table(), "replace the rows of the table with these:\n" + "\n".join(table())
