"""The cryptography in the code is that of the inventory in ``docs/asvs.md``: where it is, and what it is not."""

import ast
import re

from architecture.tree import PACKAGES, ROOT, Module, modules

LIBRARIES = {"argon2", "bcrypt", "cryptography", "hashlib", "hmac", "joserfc", "random", "secrets", "ssl"}
ERRORS = "cryptography.exceptions"
INVENTORY = (ROOT / "docs" / "asvs.md").read_text().partition("## Inventory of cryptography")[2].partition("\n## ")[0]
WEAK = re.compile(r"\b(md5|sha1|SHA1|MD5|ECB|CBC|CTR|CFB|OFB|ARC4|TripleDES|Blowfish|PKCS1v15)\b(?=\()")
OPEN_COMPARISONS = {
    "gateway.http.app_keys",
    "auth_service.accounts.comparison",
    "shared.process.environment.secret_strength",
}
"""Modules that compare no secret of a caller: settings with each other, and digests of copies."""
SECRET = re.compile(r"(token|secret|signature|digest|password|authorization|expected)s?$")


def services() -> list[Module]:
    return [module for module in modules() if module.package in PACKAGES.values()]


def in_the_inventory(module: Module) -> bool:
    return f"`{module.name.replace('.', '/')}.py`" in INVENTORY


def uses_cryptography(module: Module) -> bool:
    return any(name.partition(".")[0] in LIBRARIES and not name.startswith(ERRORS) for name in module.imports)


def test_every_module_with_cryptography_is_in_the_inventory() -> None:
    found = [module for module in services() if uses_cryptography(module)]
    assert len(found) > 20
    assert [module.where for module in found if not in_the_inventory(module)] == []
    listed = set(re.findall(r"`(\w+/[\w/]+)\.py`", INVENTORY))
    assert listed - {module.name.replace(".", "/") for module in found} == set()


def test_weak_algorithms_are_where_the_inventory_says() -> None:
    """MD5 writes passwords as one contract does, ``ECB`` over single blocks is AES itself, and Firebase uses ``CTR``."""
    found = {(module.name, weak) for module in services() for weak in WEAK.findall(module.text)}
    assert found == {
        ("gateway.passwords", "md5"),
        ("shared.passwords.own_number", "md5"),
        ("auth_service.digests.layouts", "md5"),
        ("auth_service.digests.model", "md5"),
        ("auth_service.digests.derivations", "CTR"),
        ("shared.phone", "ECB"),
        ("contacts_service.fingerprints", "ECB"),
    }
    assert [
        each.where for each in services() if re.search(r"hashlib\.md5\((?!.*usedforsecurity=False)", each.text)
    ] == []


def test_random_numbers_come_from_the_generator_of_the_system() -> None:
    """``random`` can be predicted. One module mixes the addresses of replicas with it."""
    assert {module.name for module in services() if "random" in module.imports} == {"shared.internal_api.upstream"}


def test_secrets_are_compared_in_constant_time() -> None:
    """An operator such as ``==`` would end at the first difference, and so tell how much of a guess is right."""
    compared = [
        (module.where, ast.unparse(node))
        for module in services()
        if module.name not in OPEN_COMPARISONS and not module.name.endswith(".settings")
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(SECRET.search(ast.unparse(side)) for side in (node.left, *node.comparators))
    ]
    assert compared == []
