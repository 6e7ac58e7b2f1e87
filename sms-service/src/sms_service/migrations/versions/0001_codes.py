"""Numbers, verifications, the delivery ledger and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

# A number's last 24 hours. `version` moves with whatever changes about the number or its verifications,
# so a decision is written only if what it was made from still holds.
NUMBERS = """
    create table number_activity (
        phone_ref bigint primary key,
        sends timestamptz[] not null default '{}',
        failures timestamptz[] not null default '{}',
        version bigint not null
    )
"""

# The current verification for a number and a purpose: a newer one takes the place of the older.
VERIFICATIONS = """
    create table verifications (
        phone_ref bigint not null,
        purpose text not null,
        verification_id uuid not null unique,
        phone_sealed bytea not null,
        dialect text not null,
        client text not null,
        code_key_id int not null,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        tries int not null,
        verified_at timestamptz,
        version int not null,
        primary key (phone_ref, purpose)
    )
"""

# The delivery ledger: what a worker needs to send is copied here, and the sealed number goes when it is done.
SENDS = """
    create table messages (
        message_id uuid primary key,
        verification_id uuid not null,
        phone_ref bigint not null,
        phone_sealed bytea,
        purpose text not null,
        code_key_id int not null,
        dialect text not null,
        state text not null check (state in ('queued', 'sending', 'sent', 'failed', 'expired')),
        sender text not null default '',
        failure text not null default '',
        created_at timestamptz not null,
        expires_at timestamptz not null,
        claimed_at timestamptz,
        finished_at timestamptz,
        version int not null default 1
    )
"""

UNFINISHED = "create index messages_unfinished on messages (created_at) where state in ('queued', 'sending')"

OUTBOX = """
    create table outbox (
        id uuid primary key,
        exchange text not null,
        routing_key text not null,
        body bytea not null,
        created_at timestamptz not null default now(),
        attempts int not null default 0,
        parked_at timestamptz
    )
"""


def upgrade() -> None:
    for statement in (NUMBERS, VERIFICATIONS, SENDS, UNFINISHED, OUTBOX):
        op.execute(statement)
