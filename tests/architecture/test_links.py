"""The documents: every relative link leads to a file of the repository, and every anchor to a heading."""

import re
from functools import cache
from pathlib import Path

from architecture.tree import ROOT, files

LINK = re.compile(r"\]\((?!https?://|mailto:)(?P<target>[^)\s#]*)(?:#(?P<anchor>[^)\s]+))?\)")
CODE = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"`([a-z_][\w./-]*/[\w.-]+\.(?:py|sql|lua|json|toml|yml|sh))`")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)


def documents() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


@cache
def prose(path: Path) -> str:
    """The text of a document without its blocks of code."""
    return CODE.sub("", path.read_text())


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of the headings, spelled as GitHub and the documentation site spell them."""
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title) for title in HEADING.findall(prose(path)))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def links() -> list[tuple[str, Path, str]]:
    """Each link: where it stands, the path that it leads to, and its anchor."""
    return [
        (
            str(path.relative_to(ROOT)),
            (path.parent / link["target"]).resolve() if link["target"] else path,
            link["anchor"] or "",
        )
        for path in documents()
        for link in LINK.finditer(prose(path))
    ]


def test_every_link_leads_to_a_file() -> None:
    assert [(where, str(target)) for where, target, _ in links() if not target.exists()] == []


def test_every_anchor_leads_to_a_heading() -> None:
    anchored = [(where, target, anchor) for where, target, anchor in links() if anchor and target.suffix == ".md"]
    assert [
        (where, anchor) for where, target, anchor in anchored if target.exists() and anchor not in anchors(target)
    ] == []


def test_every_file_that_a_document_names_exists() -> None:
    known = {str(path.relative_to(ROOT)) for path in files()}
    missing = [
        (str(path.relative_to(ROOT)), name)
        for path in documents()
        for name in NAMED_FILE.findall(prose(path))
        if "acme" not in name and not any(file == name or file.endswith(f"/{name}") for file in known)
    ]
    assert missing == []


def test_the_index_of_decisions_lists_every_record() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = {target for where, target, _ in links() if where == "docs/decisions/README.md"}
    assert {path.name for path in folder.glob("[0-9]*.md")} - {target.name for target in listed} == set()
