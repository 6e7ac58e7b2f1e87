"""``docs/asvs.md`` against the list of OWASP ASVS 5.0.0: complete, each requirement once, each claim with its test."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from architecture.tree import ROOT

PAGE = (ROOT / "docs" / "asvs.md").read_text()
LIST = Path(__file__).with_name("asvs_5.0.0.txt")
AT_LEVEL_3 = {"V6", "V7", "V9", "V11"}
"""Authentication, sessions, self-contained tokens, cryptography: with every level. The other chapters: 1 and 2."""
STATES = {"yes", "document", "in part", "operator", "no"}
ROW = re.compile(
    r"^\| (?P<id>\d+\.\d+\.\d+) \| (?P<level>\d) \| (?P<question>[^|]+) \| (?P<state>[^|]+) \| (?P<answer>[^|]+) \|$",
    re.MULTILINE,
)
TEST = re.compile(r"`(tests/[\w./-]+\.py)::(test_\w+)`")
CASE = re.compile(r"`(tests/contract/(?:cases|field_cases)/[\w./-]+\.json)`")
DOCUMENT = re.compile(r"\]\([^)]+\)")
REFERENCE = re.compile(r"\bV?\d+(?:\.\d+){0,2}\b")


@dataclass(frozen=True)
class Row:
    """One requirement as the page answers it."""

    id: str
    level: int
    question: str
    state: str
    answer: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        return TEST.findall(self.answer)

    @property
    def cases(self) -> list[str]:
        return CASE.findall(self.answer)

    @property
    def reason(self) -> str:
        """The words of the answer without the names of tests."""
        return CASE.sub("", TEST.sub("", self.answer)).strip(" ,.")


@cache
def rows() -> list[Row]:
    return [
        Row(match["id"], int(match["level"]), match["question"], match["state"], match["answer"])
        for match in ROW.finditer(PAGE)
    ]


@cache
def requirements() -> dict[str, int]:
    """The level of every requirement of the standard."""
    sections = re.findall(r"^V(\d+\.\d+): ([123 ]+)$", LIST.read_text(), re.MULTILINE)
    return {
        f"{section}.{number}": int(level)
        for section, levels in sections
        for number, level in enumerate(levels.split(), 1)
    }


def chapter(identity: str) -> str:
    return "V" + identity.partition(".")[0]


def left_out() -> list[str]:
    """The first column of the table of what does not apply: chapters, sections and requirements."""
    table = PAGE.partition("## What does not apply")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([V\d., ]+) \| [^|]{10,} \|$", table, re.MULTILINE)
    return [name for cell in cells for name in REFERENCE.findall(cell)]


def is_left_out(identity: str) -> bool:
    section = identity.rpartition(".")[0]
    return bool({identity, f"V{section}", chapter(identity)} & set(left_out()))


@cache
def names_in(path: str) -> set[str]:
    """The names of the tests in a file. A file that does not exist has none."""
    if not (ROOT / path).is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_list_is_the_whole_standard() -> None:
    assert Counter(requirements().values()) == {1: 70, 2: 183, 3: 92}
    assert {chapter(identity) for identity in requirements()} == {f"V{number}" for number in range(1, 18)}


def test_every_row_is_a_requirement_of_its_level_once() -> None:
    assert len(rows()) == len(re.findall(r"^\| \d+\.\d+\.\d+ \| \d", PAGE, re.MULTILINE)), "a row that cannot be read"
    assert [row.id for row in rows() if requirements().get(row.id) != row.level] == []
    assert [identity for identity, count in Counter(row.id for row in rows()).items() if count > 1] == []
    assert [row.id for row in rows() if row.state not in STATES] == []


def test_every_requirement_is_a_row_or_does_not_apply() -> None:
    answered = {row.id for row in rows()}
    required = {each for each, level in requirements().items() if level < 3 or chapter(each) in AT_LEVEL_3}
    assert sorted(each for each in required if each not in answered and not is_left_out(each)) == []
    assert sorted(each for each in answered if is_left_out(each)) == []


def test_what_does_not_apply_is_in_the_standard_once() -> None:
    known = set(requirements()) | {"V" + each.rpartition(".")[0] for each in requirements()}
    known |= {chapter(each) for each in requirements()}
    assert [name for name in left_out() if name not in known] == []
    assert [name for name, count in Counter(left_out()).items() if count > 1] == []


def test_every_test_that_the_page_names_exists() -> None:
    assert [f"{path}::{name}" for path, name in TEST.findall(PAGE) if name not in names_in(path)] == []
    assert [case for case in CASE.findall(PAGE) if not (ROOT / case).is_file()] == []
    assert PAGE.count("::") == len(TEST.findall(PAGE)), "a test that is not written as `tests/file.py::test_name`"


def test_where_a_requirement_holds_a_test_shows_it() -> None:
    assert [row.id for row in rows() if row.state == "yes" and not (row.tests or row.cases)] == []
    assert [row.id for row in rows() if row.state == "document" and not DOCUMENT.search(row.answer)] == []


def test_where_something_is_missing_the_page_says_why() -> None:
    assert [row.id for row in rows() if row.state not in {"yes", "document"} and len(row.reason.split()) < 4] == []


def test_the_summary_counts_the_rows() -> None:
    counts = Counter((row.level, row.state) for row in rows())
    summary = re.findall(r"^\| (\d) \|((?: \d+ \|){5})$", PAGE, re.MULTILINE)
    written = {int(level): [int(number) for number in cells.split("|") if number.strip()] for level, cells in summary}
    assert written == {
        level: [counts[level, state] for state in ("yes", "document", "in part", "operator", "no")]
        for level in (1, 2, 3)
    }
