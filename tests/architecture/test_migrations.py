"""Migrations go forward only: a downgrade cannot be tested on a live system, so there is none."""

import re

from architecture.tree import modules


def test_no_revision_has_a_downgrade() -> None:
    revisions = [module for module in modules() if ".migrations.versions." in module.name]
    assert {module.package for module in revisions} == {"auth_service", "sms_service", "contacts_service"}
    assert [module.where for module in revisions if "downgrade" in {name for name, _ in module.functions}] == []


def test_a_file_begins_with_its_revision() -> None:
    """A process reads its own revision from the names of these files."""
    revisions = [module for module in modules() if re.search(r"\.migrations\.versions\.\d", module.name)]
    assert len(revisions) >= 3
    for module in revisions:
        assert f'revision = "{module.path.stem[:4]}"' in module.text.splitlines()


def test_no_revision_adds_an_account() -> None:
    """A new database lets no one in. What a revision inserts is work for our own jobs."""
    revisions = [module for module in modules() if ".migrations.versions." in module.name]
    filled = {
        table
        for module in revisions
        for text in module.strings
        for table in re.findall(r"\binsert\s+into\s+(\w+)", text, re.IGNORECASE)
    }
    assert filled == {"audit_readers", "job_leases"}
