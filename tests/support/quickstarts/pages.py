"""The samples that the quickstarts print."""

import re
from pathlib import Path

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
URL = "https://id.example.com"
"""The address of Haoma in the samples."""


def samples(page: str, language: str) -> list[str]:
    """The blocks of code of a page in one language, in their order."""
    text = (GUIDES / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
