"""The linter of migrations: it refuses what would stop requests, or break the release that still runs."""

import pytest
from migrations.lint import PACKAGES, Revision, complaints, revisions, sql_of, squawk

LOCKING = {
    "an index that is not built concurrently": (
        "create index messages_client on messages (client);",
        "require-concurrent-index-creation",
    ),
    "an index that is built concurrently in a transaction": (
        "begin; create index concurrently if not exists messages_client on messages (client); commit;",
        "ban-concurrent-index-creation-in-transaction",
    ),
    "a column of another type": (
        "set local lock_timeout = '2s'; alter table messages alter column client type varchar(32);",
        "changing-column-type",
    ),
    "a column that must not be null": (
        "set local lock_timeout = '2s'; alter table messages add column carrier text not null;",
        "adding-required-field",
    ),
    "a column that becomes required": (
        "set local lock_timeout = '2s'; alter table messages alter column client set not null;",
        "adding-not-nullable-field",
    ),
    "a unique constraint": (
        "set local lock_timeout = '2s'; alter table messages add constraint one_client unique (client);",
        "disallowed-unique-constraint",
    ),
    "a check of all rows": (
        "set local lock_timeout = '2s'; alter table messages add constraint few check (version < 9);",
        "constraint-missing-not-valid",
    ),
    "a volatile default": (
        "set local lock_timeout = '2s'; alter table messages add column salt uuid default gen_random_uuid();",
        "adding-field-with-default",
    ),
    "a wait for a lock without a limit": (
        "alter table messages add column carrier text;",
        "require-lock-timeout",
    ),
}
BREAKING = {
    "a column that goes": (
        "set local lock_timeout = '2s'; alter table messages drop column client;",
        "ban-drop-column",
    ),
    "a table that goes": ("set local lock_timeout = '2s'; drop table messages;", "ban-drop-table"),
    "a column with another name": (
        "set local lock_timeout = '2s'; alter table messages rename column client to app;",
        "renaming-column",
    ),
    "a table with another name": (
        "set local lock_timeout = '2s'; alter table messages rename to sms_messages;",
        "renaming-table",
    ),
}


@pytest.mark.parametrize(("sql", "rule"), (LOCKING | BREAKING).values(), ids=(LOCKING | BREAKING).keys())
def test_what_would_stop_requests_or_the_release_before_is_refused(sql: str, rule: str) -> None:
    assert rule in squawk(sql, f"test-{rule}")


@pytest.mark.parametrize(
    "sql",
    [
        "set lock_timeout = 0; drop index concurrently if exists messages_client; create index concurrently messages_client on messages (client);",
        "begin; set local lock_timeout = '2s'; alter table messages add column carrier text not null default ''; commit;",
        "begin; set local lock_timeout = '2s'; create table carriers (name text primary key); create index carriers_name on carriers (name); commit;",
    ],
)
def test_what_requests_do_not_notice_is_accepted(sql: str) -> None:
    assert squawk(sql, "test-accepted") == ""


@pytest.mark.parametrize("change", ["a column that goes", "a table that goes"])
def test_only_a_revision_that_says_so_takes_something_away(change: str) -> None:
    assert squawk(BREAKING[change][0], "test-contracting", contracts=True) == ""


def test_a_renamed_column_is_refused_even_then() -> None:
    sql, rule = BREAKING["a column with another name"]
    assert rule in squawk(sql, "test-renaming", contracts=True)


FIRST = Revision("auth_service", "0001", "0001", None)
SECOND = Revision("auth_service", "0002", "0001", FIRST)


@pytest.mark.parametrize(
    ("name", "works_from", "is_right"),
    [
        ("0003", "0001", True),
        ("0003", "0002", True),
        ("0003", "0003", False),  # the release before it would stop
        ("0003", "", False),
        ("0004", "0001", False),
        ("a1b2", "0001", False),
    ],
)
def test_a_revision_follows_the_one_before_and_works_with_its_code(name: str, works_from: str, is_right: bool) -> None:
    assert (complaints(Revision("auth_service", name, works_from, SECOND)) == "") is is_right


def test_code_that_stopped_working_does_not_work_again() -> None:
    contracting = Revision("auth_service", "0003", "0002", SECOND)
    assert contracting.contracts
    assert complaints(Revision("auth_service", "0004", "0001", contracting))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_sql_of_a_revision_keeps_from_which_one_on_code_works(package: str) -> None:
    first = revisions(package)[0]
    assert "update alembic_version set works_from = '0001'" in sql_of(first).lower()
