"""The schema of the first release: numbers, verifications, messages, spending, and the outbox."""

from alembic import op

from shared.audit.schema import audit_chain
from shared.parked.schema import STATEMENTS as PARKED

revision = "0001"
down_revision = None
works_from = "0001"

# The last 24 hours of a number. `version` changes with every change of the number or of its verifications, so that a
# decision is written only if the state it was made from is still true. `send_networks` and `send_dialects` have one
# entry for each of `sends`, and `failure_networks` one for each of `failures`, in the same order. A network is the
# source network of a stranger (at a number without an account their place, also where nothing is charged to it),
# 'known' for a caller in a network that is known to the number, 'session' for one who is known by a session alone, or
# an empty text. `withheld_sends` are those of `sends` for which no message was sent.
NUMBER_ACTIVITY = """
    create table number_activity (
        phone_ref bigint primary key,
        sends timestamptz[] not null default '{}',
        send_networks text[] not null default '{}',
        send_dialects text[] not null default '{}',
        withheld_sends timestamptz[] not null default '{}',
        failures timestamptz[] not null default '{}',
        failure_networks text[] not null default '{}',
        version bigint not null
    )
"""

# The current verification of a number for each purpose. A newer one replaces it. `tries` counts incorrect codes of
# strangers, `known_tries` those of callers in a network that is known to the number. `registered` and `known_networks`
# are what auth-service said of the number when the code was last requested: whether it had an account, and from which
# networks it was proven. These, and `verified_network` where the code was used first, are keyed references. `repeats`
# counts how often it was used again.
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
        known_tries int not null,
        registered bool not null,
        known_networks bigint[] not null,
        verified_at timestamptz,
        verified_network bigint,
        repeats int not null default 0,
        version int not null,
        primary key (phone_ref, purpose)
    )
"""

# The decisions about codes, and what an operator needs to know about a number and no other table shows. Rows are only
# added. The id is that of the published event, if there is one, and a UUIDv7 in any case. An erasure empties phone_ref,
# verification_id, network and salt, and leaves in erased_by which row of this table says so.
VERIFICATION_EVENTS = """
    create table verification_events (
        id uuid primary key,
        phone_ref bigint,
        verification_id uuid,
        at timestamptz not null,
        kind text not null check (kind in ('refused', 'incorrect', 'correct', 'repeated', 'unusable', 'erased')),
        purpose text not null,
        dialect text not null,
        network text not null default '',
        detail text not null default '',
        retry_after int,
        tries_left int,
        salt uuid default gen_random_uuid(),
        erased_by uuid
    )
"""
EVENTS_BY_TIME = "create index verification_events_at on verification_events (at)"
EVENTS_BY_NUMBER = "create index verification_events_by_number on verification_events (phone_ref, at)"
INCORRECT_EVENTS = "create index verification_events_incorrect on verification_events (at) where kind = 'incorrect'"

AUDIT = audit_chain(
    "verification_events",
    parameters="of_phone bigint, until timestamptz",
    emptied="phone_ref = null, verification_id = null, network = '', salt = null",
    condition="phone_ref = of_phone and at <= until",
)

# Incorrect codes by source network, in a window that opens with the first of them.
CHECK_FAILURES = """
    create table check_failures_by_network (
        network text primary key,
        failures int not null,
        resets_at timestamptz not null
    )
"""

# The delivery ledger. It copies what a worker needs to send; the sealed number is deleted when the message is finished.
# `notice` is what the message tells the owner of the number about their account, in addition to the code. `for_known`
# says that a caller asked for it who is known to the number.
MESSAGES = """
    create table messages (
        message_id uuid primary key,
        verification_id uuid not null,
        phone_ref bigint not null,
        phone_sealed bytea,
        purpose text not null,
        language text not null check (language in ('zh', 'en')),
        client text not null,
        notice text not null check (notice in ('', 'registered', 'no_account')),
        for_known bool not null,
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
# A message that a sender was called for is found by its attempts, and one that waits by messages_unfinished. This index
# has only those that ended without an attempt, so that accepting a request does not write to it.
UNATTEMPTED = """
    create index messages_unattempted on messages (phone_ref) where claimed_at is null and finished_at is not null
"""

# The calls to senders. The key keeps a message from going to the same sender twice, whichever process dies. A row is
# committed before its sender is called; `finished_at` is null until the answer is known. `detail` is the provider's own
# error code. `price` is in millionths of the currency of the settings file, and 0 again once the sender surely charged
# nothing.
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
        segments int not null default 1,
        price bigint not null default 0,
        receipt text not null default '' check (receipt in ('', 'failed', 'delivered')),
        receipt_detail text not null default '',
        started_at timestamptz not null,
        finished_at timestamptz,
        receipt_at timestamptz,
        primary key (message_id, sender)
    )
"""
ATTEMPTS_BY_NUMBER = "create index attempts_by_number on attempts (phone_ref, started_at)"
ATTEMPTS_BY_PROVIDER = "create index attempts_by_provider on attempts (sender, provider_id) where provider_id <> ''"

# One row for each window of each budget. A newer window overwrites the row.
BUDGETS = """
    create table budgets (
        prefix text not null,
        span text not null check (span in ('hour', 'day')),
        starts_at timestamptz not null,
        spent bigint not null,
        primary key (prefix, span)
    )
"""

# By number range and by the five minutes in which the messages were requested. Networks and countries are prefixes of
# the range and are summed up when they are judged: requests would contend for a row that counts a whole country.
PREFIX_TRAFFIC = """
    create table prefix_traffic (
        starts_at timestamptz not null,
        range text not null,
        network text not null,
        country text not null,
        sent bigint not null default 0,
        verified bigint not null default 0,
        spent bigint not null default 0,
        primary key (starts_at, range)
    )
"""

# The stage of each scope (`range:+861380013`, `hour:+86`) that is or was in one. `minute` and `admitted` count the
# messages to a throttled scope. Traffic before `cleared_at` is ignored.
PREFIX_STAGES = """
    create table prefix_stages (
        scope text primary key,
        stage int not null check (stage between 0 and 3),
        since timestamptz not null,
        until timestamptz not null,
        cleared_at timestamptz,
        blocks int not null,
        minute timestamptz not null default 'epoch',
        admitted int not null default 0,
        version int not null
    )
"""

# Messages by which an operator tests a sender. The sealed number is deleted when the message is finished, and the row
# after a day.
TEST_MESSAGES = """
    create table test_messages (
        message_id uuid primary key,
        sender text not null,
        phone_sealed bytea,
        language text not null check (language in ('zh', 'en')),
        requested_at timestamptz not null default now(),
        taken_at timestamptz,
        finished_at timestamptz,
        outcome text not null default '',
        detail text not null default ''
    )
"""

# What is left of the prepaid account of each sender that tells it, when it was last read.
SENDER_BALANCES = """
    create table sender_balances (
        sender text primary key,
        amount double precision not null,
        unit text not null,
        read_at timestamptz not null default now()
    )
"""

# Jobs that only one process does at a time, and when one last took each.
JOB_LEASES = "create table job_leases (job text primary key, taken_at timestamptz not null)"

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

STATEMENTS = (
    NUMBER_ACTIVITY,
    VERIFICATIONS,
    VERIFICATION_EVENTS,
    EVENTS_BY_NUMBER,
    EVENTS_BY_TIME,
    INCORRECT_EVENTS,
    *AUDIT,
    CHECK_FAILURES,
    MESSAGES,
    UNFINISHED,
    UNATTEMPTED,
    ATTEMPTS,
    ATTEMPTS_BY_NUMBER,
    ATTEMPTS_BY_PROVIDER,
    BUDGETS,
    PREFIX_TRAFFIC,
    PREFIX_STAGES,
    TEST_MESSAGES,
    SENDER_BALANCES,
    JOB_LEASES,
    OUTBOX,
    *PARKED,
)


def upgrade() -> None:
    op.execute("set local lock_timeout = '2s'")
    for statement in STATEMENTS:
        op.execute(statement)
