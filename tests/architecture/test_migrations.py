"""Migrations go forward only: a downgrade cannot be tested on a live system, so there is none."""

from architecture.tree import modules


def test_no_revision_has_a_downgrade() -> None:
    revisions = [module for module in modules() if ".migrations.versions." in module.name]
    assert {module.package for module in revisions} == {"auth_service", "sms_service", "contacts_service"}
    assert [module.where for module in revisions if "downgrade" in {name for name, _ in module.functions}] == []
