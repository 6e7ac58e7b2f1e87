"""Who was asked to carry a message, in which order, what each answered, and what receipts said of it."""

from alembic import op

revision = "0003"
down_revision = "0002"

# The key is what keeps a message from being given to one sender twice, whatever dies. A row is committed before its
# sender is called; `finished_at` is null while nobody knows the answer. `detail` is the provider's own word for it.
ATTEMPTS = """
    create table attempts (
        message_id uuid not null,
        sender text not null,
        number int not null check (number in (1, 2)),
        verification_id uuid not null,
        phone_ref bigint not null,
        outcome text not null default '',
        detail text not null default '',
        provider_id text not null default '',
        receipt text not null default '' check (receipt in ('', 'failed', 'delivered')),
        receipt_detail text not null default '',
        started_at timestamptz not null,
        finished_at timestamptz,
        receipt_at timestamptz,
        primary key (message_id, sender)
    )
"""
BY_NUMBER = "create index attempts_of_a_number on attempts (phone_ref, started_at)"
BY_PROVIDER = "create index attempts_of_a_provider on attempts (sender, provider_id) where provider_id <> ''"


def upgrade() -> None:
    """Add the table; messages that were sent before it have no attempts in it."""
    for statement in (ATTEMPTS, BY_NUMBER, BY_PROVIDER):
        op.execute(statement)
