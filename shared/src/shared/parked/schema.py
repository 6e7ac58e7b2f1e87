"""The table of parked messages, for the first revision of each service that consumes.

Released revisions use this: it never changes. A later revision has statements of its own.
"""

# A message that was replayed or dropped keeps its row without the body for 30 days, so that a second copy of it, which
# a crash between two steps can leave in the queue, is recognised.
PARKED_MESSAGES = """
    create table parked_messages (
        id uuid primary key,
        queue text not null,
        body bytea not null,
        reason text not null,
        attempts int not null,
        parked_at timestamptz not null default now(),
        settled_at timestamptz,
        outcome text not null default '' check (outcome in ('', 'replayed', 'dropped'))
    )
"""
PARKED_MESSAGES_BY_TIME = (
    "create index parked_messages_parked_at on parked_messages (parked_at) where settled_at is null"
)
PARKED_MESSAGES_SETTLED = (
    "create index parked_messages_settled_at on parked_messages (settled_at) where settled_at is not null"
)
STATEMENTS = (PARKED_MESSAGES, PARKED_MESSAGES_BY_TIME, PARKED_MESSAGES_SETTLED)
