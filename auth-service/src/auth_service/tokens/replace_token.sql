-- Replace the usable token by its successor, and write that into the audit log.
-- The first use of a chain ends the chains that began before it, and every token of a lower generation. The account is
-- written at most once a day. A session with an imported token ends no sooner than that token.
with replaced_token as (
    update refresh_tokens set salt = :salt, spent_at = clock_timestamp() where token_hash = :token_hash
    returning session_id, begins_chain, added_at, generation
), earlier_chains as (
    delete from refresh_tokens r using replaced_token t
    where t.begins_chain and r.session_id = t.session_id and r.token_hash <> :token_hash
        and not (r.begins_chain and r.added_at > t.added_at)
), extended_session as (
    update sessions s
    set expires_at = greatest(now() + interval '30 days', s.token_ends_at),
        oldest_generation = greatest(s.oldest_generation, t.generation)
    from replaced_token t where s.session_id = t.session_id
    returning s.user_id, s.session_id, s.client, s.dialect
), new_entry as (
    insert into audit_log (id, action, user_id, session_id, client, dialect, network)
    select :entry_id, 'refresh_token.used', user_id, session_id, client, dialect, :network from extended_session
), seen_account as (
    update accounts set last_used_at = now()
    where user_id in (
        select user_id from accounts
        where user_id = :user_id and greatest(last_login_at, last_used_at) < now() - interval '1 day'
        for update skip locked
    )
)
insert into refresh_tokens (token_hash, session_id, generation)
select :successor_hash, session_id, generation from replaced_token
