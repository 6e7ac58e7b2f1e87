"""Linters find no error in the documents, and generators make complete clients of them, without a warning.

What generated clients can do is tested in ``system/test_generated_clients.py``.
"""

import importlib.util
import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.openapi import ALL, write_documents
from support.tools import client_generators, need, node_modules

GENERATORS = Path(__file__).parent / "generators"
RUN_SECONDS = 280
MODELS = {
    "kotlin": ("**/models/*.kt", r"^(?:data |enum )?class (\w+)"),
    "swift6": ("**/Models/*.swift", r"^public (?:struct|enum|class) (\w+)"),
    "dart": ("lib/model/*.dart", r"^(?:class|enum) (\w+)"),
    "go": ("model_*.go", r"^type (\w+) (?:struct|string)"),
}
"""Where each language has its models, and how one is declared."""
WHOLE_NUMBERS = {
    "kotlin": r"val userId: kotlin\.Long",
    "swift6": r"var userId: Int64",
    "dart": r"int userId;",
    "go": r"UserId int64",
}
"""The user's id, which is wider than 32 bits. (Dart has one type of integers.)"""
NOTICE = "OpenAPI 3.1 support is still in beta"
"""The generator says so of every document in OpenAPI 3.1."""
RESERVED = "Source (reserved word) cannot be used as model name"
"""The contract ``maitian`` has a parameter ``source``, which Dart reserves. The generator renames it."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_documents(tmp_path_factory.mktemp("documents"))


def run(*command: str | Path, folder: Path, **environ: str) -> str:
    """Run a tool. Returns what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def redocly(folder: Path, *documents: Path) -> dict[str, int]:
    """How many errors and warnings redocly finds in documents."""
    lint = (node_modules() / ".bin" / "redocly", "lint", "--config", GENERATORS / "redocly.yaml", "--format", "json")
    printed = run(*lint, *documents, folder=folder, REDOCLY_TELEMETRY="off", REDOCLY_SUPPRESS_UPDATE_NOTICE="true")
    return {kind: int(found) for kind, found in re.findall(r'"(errors|warnings)": (\d+)', printed)}


def test_redocly_finds_no_fault_in_any_document(documents: dict[str, Path], tmp_path: Path) -> None:
    assert redocly(tmp_path, *documents.values()) == {"errors": 0, "warnings": 0}


def test_redocly_finds_what_a_document_lacks(documents: dict[str, Path], tmp_path: Path) -> None:
    document = json.loads(documents["register_page"].read_text())
    del document["info"]["license"]
    (tmp_path / "broken.json").write_text(json.dumps(document))
    assert redocly(tmp_path, tmp_path / "broken.json") == {"errors": 0, "warnings": 1}


def test_swagger_parser_accepts_every_document(documents: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules())
    (tmp_path / "validate.mjs").write_text((GENERATORS / "validate.mjs").read_text())
    run("node", "validate.mjs", *documents.values(), folder=tmp_path)


@pytest.fixture(scope="module")
def generated(documents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Clients in every language, from two documents, made by one process. Returns their folder, and what it printed."""
    need("java")
    client_generators()
    folder = tmp_path_factory.mktemp("generated")
    configurations = []
    for name in (ALL, "native"):
        for language in MODELS:
            wanted = {"generatorName": language, "inputSpec": str(documents[name])}
            options = {"outputDir": str(folder / name / language), "globalProperties": {"apiDocs": False}}
            configurations.append(folder / f"{name}-{language}.json")
            configurations[-1].write_text(json.dumps(wanted | options))
    java = (
        "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlogback.configurationFile={GENERATORS}/logback.xml",
    )
    printed = run(*java, "-jar", generator_jar(), "batch", "--threads", "2", *configurations, folder=folder)
    return folder, printed


def generator_jar() -> Path:
    found = importlib.util.find_spec("openapi_generator_cli")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "openapi-generator.jar"


def test_openapi_generator_warns_of_nothing(generated: tuple[Path, str]) -> None:
    printed = generated[1]
    assert "finished 8 generators successfully" in printed
    warnings = [line for line in printed.splitlines() if line.startswith(("WARN", "ERROR"))]
    assert any(NOTICE in line for line in warnings), "warnings are not shown"
    assert [line for line in warnings if NOTICE not in line and RESERVED not in line] == []


@cache
def models(folder: Path, language: str) -> dict[str, str]:
    """The text of each generated model by its name."""
    pattern, declaration = MODELS[language]
    texts = [file.read_text() for file in folder.glob(pattern)]
    declared = ((re.search(declaration, text, re.MULTILINE), text) for text in texts)
    return {found[1]: text for found, text in declared if found}


def properties(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The properties of a schema, or of those that it is one of."""
    found = set(schema.get("properties", ()))
    for alternative in schema.get("oneOf", ()):
        found |= properties(schemas[alternative["$ref"].rpartition("/")[2]], schemas)
    return found


@pytest.mark.parametrize("language", MODELS)
@pytest.mark.parametrize("name", [ALL, "native"])
def test_every_schema_is_a_model_with_all_its_properties(
    generated: tuple[Path, str], documents: dict[str, Path], name: str, language: str
) -> None:
    schemas = json.loads(documents[name].read_text())["components"]["schemas"]
    made = models(generated[0] / name / language, language)
    lacking = []
    for schema_name, schema in schemas.items():
        alternatives = [each["$ref"].rpartition("/")[2] for each in schema.get("oneOf", ())]
        text = "".join(made.get(each, "") for each in (schema_name, *alternatives))
        assert schema_name in made, schema_name
        lacking += [(schema_name, each) for each in properties(schema, schemas) if not has(text, each)]
    assert len(schemas) > 40
    assert lacking == []


def has(text: str, name: str) -> bool:
    """Whether a model has a property: under its name on the wire, or as a name that Swift writes alike."""
    return re.search(rf"""["'](?:{name})["',]|\b(?:case|let|var) `?{name}`?\b""", text) is not None


@pytest.mark.parametrize("language", MODELS)
def test_the_id_of_a_user_is_wider_than_32_bits(generated: tuple[Path, str], language: str) -> None:
    assert re.search(WHOLE_NUMBERS[language], models(generated[0] / "native" / language, language)["Account"])
