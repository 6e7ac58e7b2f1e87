"""The hooks of mkdocs: they collect the documents of the whole repository, so that its links work in the site too."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
NAVIGATION: tuple[tuple[str, str], ...] = (
    ("Start", "README.md"),
    ("Concepts", "docs/concepts.md"),
    ("Guides", "docs/guides/*.md"),
    ("Moving in", "docs/moving-in.md"),
    ("Shadow runs", "docs/moving-in/shadow.md"),
    ("Errors", "docs/errors.md"),
    ("Contracts", "docs/contracts/*.md"),
    ("Events", "docs/events.md"),
    ("Architecture", "docs/architecture.md"),
    ("Glossary", "docs/glossary.md"),
    ("Services", "*/README.md"),
    ("Operations", "docs/operations/*.md"),
    ("Security", "docs/security/*.md"),
    ("Decisions", "docs/decisions/*.md"),
    ("Requirements", "docs/asvs.md"),
    ("Performance", "docs/performance.md"),
    ("Scale", "docs/scale.md"),
    ("Quality", "docs/quality.md"),
    ("Contributing", "CONTRIBUTING.md"),
    ("Security", "SECURITY.md"),
    ("Changes", "CHANGELOG.md"),
    ("中文", "README.zh.md"),
    ("中文文档", "docs/zh/**/*.md"),
)
"""The pages in their order: a title, and a file or the files of one section."""
PICTURES = "docs/pictures/*"
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
REMOTE = re.compile(r"""(?:<link[^>]*\shref|<(?:script|img|iframe)[^>]*\ssrc)=["']?((?:https?:)?//[^"'\s>]+)""")


def pages() -> list[str]:
    """The documents of the site, as paths from the root of the repository."""
    return [path for _, pattern in NAVIGATION for path in _matching(pattern)]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Build the navigation from the files that exist; a new page needs no entry."""
    config.nav = [
        {title: paths if "*" in pattern else paths[0]} for title, pattern in NAVIGATION if (paths := _matching(pattern))
    ]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Keep the files of the theme, and replace those of ``docs`` by the repository's, each under its path there."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    paths = [*pages(), *_matching(PICTURES)]
    return Files([*theme, *(File.generated(config, path, abs_src_path=str(ROOT / path)) for path in paths)])


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: object) -> str:
    """Lead a link to a folder to its README, and turn a link to source code into its text: the site has no source."""
    folder = PurePosixPath(page.file.src_uri).parent

    def rewrite(link: re.Match[str]) -> str:
        target = link["target"]
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = normpath(str(folder / target))
        if files.get_file_from_path(path):
            return link[0]
        if files.get_file_from_path(f"{path}/README.md"):
            return f"[{link['text']}]({target.rstrip('/')}/README.md{link['anchor'] or ''})"
        return link["text"] if (ROOT / path).exists() else link[0]

    return LINK.sub(rewrite, markdown)


def on_post_page(output: str, *, page: Page, **_: object) -> str:
    """Fail if a page would load a script, a style or a picture from the network."""
    if remote := REMOTE.search(output):
        raise PluginError(f"{page.file.src_uri} loads {remote[1]}: the site must work without a network")
    return output


def _matching(pattern: str) -> list[str]:
    """Existing files, a README first: it is the index of its section."""
    found = [path.relative_to(ROOT) for path in ROOT.glob(pattern) if not path.name.startswith(".")]
    return [
        str(path) for path in sorted(found, key=lambda path: (len(path.parts) > 2 and path.name != "README.md", path))
    ]
