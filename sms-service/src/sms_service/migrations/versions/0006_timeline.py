"""What happened to a number that no other row tells, and how its messages are found; `explain` reads both."""

from alembic import op

revision = "0006"
down_revision = "0005"

# Append-only. An id is that of the event which told the same, where there is one: in order of time either way.
HAPPENINGS = """
    create table verification_events (
        id uuid primary key,
        phone_ref bigint not null,
        verification_id uuid,
        at timestamptz not null,
        kind text not null check (kind in ('refused', 'wrong', 'right', 'dead')),
        purpose text not null,
        dialect text not null,
        detail text not null default '',
        retry_after int,
        tries_left int
    )
"""
BY_NUMBER = "create index happenings_of_a_number on verification_events (phone_ref, at)"

# A message that a sender was asked to carry is found by its attempts, and one still waiting by messages_unfinished: only
# those that ended without an attempt are in this index, so that accepting a request writes nothing to it.
# Building it reads the ledger, and requests for codes go on meanwhile.
UNCARRIED = """
    create index concurrently messages_uncarried on messages (phone_ref)
        where claimed_at is null and finished_at is not null
"""
# A build that was interrupted leaves an index that nothing reads and every message writes to.
HALF_BUILT = "drop index concurrently if exists messages_uncarried"


def upgrade() -> None:
    """Add the index and the table; what happened before is not in it."""
    # First, and outside of the transaction: whatever fails from here on, the revision can be run again from its start.
    with op.get_context().autocommit_block():
        op.execute(HALF_BUILT)
        op.execute(UNCARRIED)
    op.execute("set local lock_timeout = '2s'")
    for statement in (HAPPENINGS, BY_NUMBER):
        op.execute(statement)
