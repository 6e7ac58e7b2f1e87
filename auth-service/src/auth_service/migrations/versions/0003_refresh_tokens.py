# ruff: noqa: INP001  alembic runs it as a script
"""Refresh tokens: the links of each session's chain, by the SHA-256 of the token; and a way to forget a number."""

from alembic import op

revision = "0003"
down_revision = "0002"

# A spent token keeps the salt from which its successor was made: with the token itself, which is nowhere here, the
# same successor can be made again. ``expires_at`` only says when a row may be cleared away; the session decides.
REFRESH_TOKENS = """
    create table refresh_tokens (
        token_hash bytea primary key,
        session_id uuid not null,
        salt bytea,
        spent_at timestamptz,
        expires_at timestamptz not null default now() + interval '30 days'
    )
"""

INDEXES = (
    "create index refresh_tokens_session_id on refresh_tokens (session_id)",
    "create index refresh_tokens_expires_at on refresh_tokens (expires_at)",
    # Refusals that name a number and no user: erasing its account finds them.
    "create index audit_phone_ref on audit_log (phone_ref) where user_id is null and phone_ref is not null",
)


def upgrade() -> None:
    """Make the table."""
    op.execute("set local lock_timeout = '2s'")
    for statement in (REFRESH_TOKENS, *INDEXES):
        op.execute(statement)
