"""Schemas go forward only: what cannot be tested on a live system is not kept as if it worked."""

from architecture.tree import modules


def test_no_revision_pretends_that_it_can_be_undone() -> None:
    revisions = [module for module in modules() if ".migrations.versions." in module.name]
    assert len(revisions) >= 3
    assert [module.where for module in revisions if "downgrade" in {name for name, _ in module.functions}] == []
