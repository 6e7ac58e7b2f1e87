"""What no service does, and what no image contains: the ways in that need no defence because they are not there."""

import ast
import re

from architecture.tree import PACKAGES, ROOT, Module, files, modules

EVALUATED = {"eval", "exec", "compile", "__import__"}
DANGEROUS = {"subprocess", "pickle", "marshal", "shelve", "yaml", "xml", "lxml", "smtplib", "ftplib", "code"}
STARTS = {"os.system", "os.popen", "os.execv", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"}
STARTS_ITSELF = {"contacts-service/src/contacts_service/directory/filling.py": {"asyncio.create_subprocess_exec"}}
CONNECTS = re.compile(
    r"\b(ClientSession|AsyncClient|create_connection|open_connection|create_unix_connection|urlopen|urlretrieve|getaddrinfo)\("
)
INTERNAL_CLIENT = "shared.internal_api.upstream"
SHADOW_RUNS = "gateway.shadow.haoma"
LOOK_UPS = "shared.process.host_names"
USER_SOURCE = "auth_service.user_source.source_client"
WRITES_HTML = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function|createContextualFragment)\b"
)


def services() -> list[Module]:
    return [module for module in modules() if module.package in PACKAGES.values()]


def called(module: Module) -> set[str]:
    """The names that a module calls, such as ``eval`` and ``os.system``."""
    return {ast.unparse(node.func) for node in ast.walk(module.syntax) if isinstance(node, ast.Call)}


def test_no_service_evaluates_text_starts_other_programs_or_unpickles() -> None:
    """contacts-service starts one of its own modules, whose arguments are a constant and the number of a descriptor."""
    found = {
        module.where: {name for name in module.imports if name.partition(".")[0] in DANGEROUS}
        | (called(module) & (EVALUATED | STARTS))
        for module in services()
    }
    assert {where: names for where, names in found.items() if names} == STARTS_ITSELF


def test_only_senders_the_user_source_and_the_internal_client_open_connections() -> None:
    """Others connect through the drivers of PostgreSQL, Redis and RabbitMQ, to the addresses of their settings.

    The command ``shadow`` is no service: it connects to the addresses of its options.
    """
    found = {module.name for module in services() if CONNECTS.search(module.text)}
    strays = {name for name in found if not name.startswith("sms_service.senders.")}
    assert INTERNAL_CLIENT in found
    assert strays == {INTERNAL_CLIENT, LOOK_UPS, SHADOW_RUNS, USER_SOURCE}


def test_scripts_of_pages_write_no_html() -> None:
    scripts = [path for path in files() if path.suffix == ".js" and path.relative_to(ROOT).parts[1] == "src"]
    assert len(scripts) > 5
    assert [
        (str(path.relative_to(ROOT)), each) for path in scripts for each in WRITES_HTML.findall(path.read_text())
    ] == []


def test_an_image_is_built_from_a_list_of_files() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert rules[0] == "*"
    assert let_in == {"deploy/requirements", "deploy/container", "LICENSE", *(f"{folder}/src" for folder in PACKAGES)}
    assert [source for source in sources if "${SERVICE}" not in source and not source.startswith(tuple(let_in))] == []
