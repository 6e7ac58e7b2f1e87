-- Import sessions of users who were imported, now or before: the session, a row by which its token is exchanged for a
-- pair of ours, a mark that the token was imported, and an audit entry.
-- A user who was banned or has ended all sessions here gets none. The lock makes all that ends sessions wait for these.
-- The caller compares the number of rows, and rolls back if one is missing. A token that another import wrote meanwhile
-- is a unique violation; its key is only a digest.
with new_sessions as (
    select *
    from unnest(
        :user_ids::bigint[], :token_hashes::bytea[], :opaque_hashes::bytea[], :session_ids::uuid[], :clients::text[],
        :opened_ats::timestamptz[], :ends_ats::timestamptz[], :token_ends_ats::timestamptz[], :entry_ids::uuid[]
    ) as sessions (
        user_id, token_hash, opaque_hash, session_id, client, opened_at, ends_at, token_ends_at, entry_id
    )
), locked_accounts as (
    select a.user_id
    from accounts a join imported_accounts i on i.user_id = a.user_id
    where a.user_id = any (:user_ids::bigint[])
        and a.tickets_valid_from = i.open_since and a.banned_at is null and a.phone is not null
    order by a.user_id
    for share of a
), accepted_sessions as (
    select new_sessions.* from new_sessions join locked_accounts using (user_id)
), opened_sessions as (
    insert into sessions (token_hash, session_id, user_id, client, dialect, opened_at, expires_at, token_ends_at)
    select
        opaque_hash, session_id, user_id, client, :dialect, opened_at, coalesce(ends_at, now() + interval '30 days'),
        token_ends_at
    from accepted_sessions
), exchanges as (
    insert into refresh_tokens (token_hash, session_id, begins_chain, expires_at)
    select token_hash, session_id, true, coalesce(ends_at, now() + interval '1 year') from accepted_sessions
), new_marks as (
    insert into imported_sessions (token_hash, user_id, ends_at)
    select token_hash, user_id, ends_at from accepted_sessions
), new_entries as (
    insert into audit_log (id, action, user_id, session_id, client, dialect, actor, reason)
    select entry_id, :action, user_id, session_id, client, :dialect, :actor, :reason from accepted_sessions
)
select count(*) from accepted_sessions
