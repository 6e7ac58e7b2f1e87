"""The documents in Chinese: each keeps step with its original, in headings, tables, lists, links and code.

If a test fails after a change of an original, make the same change in ``docs/zh`` (or ``README.zh.md``): the same headings in
the same order, the same rows, the same links, and the same code, of which only the comments are translated.
"""

import re
from pathlib import Path
from posixpath import normpath

import pytest
from architecture.tree import ROOT

CHINESE = ROOT / "docs" / "zh"
INDEX = CHINESE / "README.md"
"""The one page without an original: the index, with the words."""
CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s)(///?|#|/\*\*)\s.*$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s#]*)(?:#[^)\s]+)?\)")
HEADING, ROW, ITEM = re.compile(r"#+ "), re.compile(r" *\|.*\|$"), re.compile(r" *(?:[-*]|\d{1,2}\.) ")

ORIGINALS = {path: ROOT / "docs" / path.relative_to(CHINESE) for path in sorted(CHINESE.rglob("*.md")) if path != INDEX}
ORIGINALS[ROOT / "README.zh.md"] = ROOT / "README.md"
PAGES = pytest.mark.parametrize("page", ORIGINALS, ids=lambda page: str(page.relative_to(ROOT)))


def prose(path: Path) -> str:
    return CODE.sub("", path.read_text())


def code(path: Path) -> list[tuple[str, str]]:
    """The language and the text of each block, without comments. Of a picture, the number of its lines."""
    return [
        (language, f"{text.count(chr(10))} lines" if language == "mermaid" else COMMENT.sub(r"\1", text))
        for language, text in CODE.findall(path.read_text())
    ]


def shape(path: Path) -> list[str]:
    """The headings with their levels, the rows of tables with their cells, and the items of lists, in their order."""
    found = []
    for line in prose(path).splitlines():
        if heading := HEADING.match(line):
            found.append(heading[0])
        elif ROW.match(line):
            found.append("row of " + str(re.sub(r"`[^`]*`", "", line).count("|") - 1))
        elif ITEM.match(line):
            found.append("item")
    return found


def links(path: Path) -> list[str]:
    """The files that a page leads to. A page in Chinese counts as its original, an anchor as its page."""
    folder = path.parent.relative_to(ROOT)
    leads_to = [ROOT / normpath(str(folder / target)) if target else path for target in LINK.findall(prose(path))]
    return sorted(str(ORIGINALS.get(target, target).relative_to(ROOT)) for target in leads_to if target != INDEX)


@PAGES
def test_a_page_in_chinese_has_the_code_of_its_original(page: Path) -> None:
    assert code(page) == code(ORIGINALS[page])


@PAGES
def test_a_page_in_chinese_has_the_headings_rows_and_items_of_its_original(page: Path) -> None:
    assert shape(page) == shape(ORIGINALS[page])


@PAGES
def test_a_page_in_chinese_has_the_links_of_its_original(page: Path) -> None:
    assert links(page) == links(ORIGINALS[page])


@PAGES
def test_a_page_in_chinese_is_in_chinese(page: Path) -> None:
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", "", prose(page))
    assert len(re.findall(r"[一-鿿]", text)) > 2 * len(re.findall(r"[A-Za-z]+", text))
