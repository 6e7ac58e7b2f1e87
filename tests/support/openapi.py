"""The OpenAPI documents as files, for linters and generators."""

import json
from pathlib import Path

from gateway.dialect_registry import installed_dialects
from gateway.documents.openapi import openapi, openapi_of

ALL = "openapi"
"""The document of every contract. The others are named after theirs."""


def write_documents(folder: Path) -> dict[str, Path]:
    """Write every document into a folder. Returns the files by the names of the documents."""
    dialects = installed_dialects()
    documents = {ALL: openapi(dialects, "1.0.0")} | {each.name: openapi_of(each, "1.0.0") for each in dialects}
    files = {name: folder / f"{name}.json" for name in documents}
    for name, file in files.items():
        file.write_text(json.dumps(documents[name], ensure_ascii=False))
    return files
