-- Open a session, with everything that belongs to it, in one transaction.
-- All of it depends on the first step, which writes nothing when the password or the number changed, or the account was
-- banned, since the account was read. That step locks the account, so sessions of one user open one after another.
-- Failures are locked in the order of their names, as start_check.sql locks them.
with opened_account as (
    update accounts
    set last_login_at = now(), password_hash = coalesce(:new_hash, password_hash)
    where user_id = :user_id and phone = :phone and password_changed_at = :password_changed_at and banned_at is null
    returning *
), new_session as (
    insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
    select :token_hash, :session_id, user_id, :client, :dialect, now() + interval '30 days' from opened_account
), new_entry as (
    insert into audit_log (id, action, phone_ref, user_id, network, client, dialect)
    select :entry_id, :action, :phone_ref, user_id, :network, :client, :dialect from opened_account
), new_messages as (
    insert into outbox (id, exchange, routing_key, body)
    select message.*
    from opened_account,
        unnest(:message_ids::uuid[], :exchanges::text[], :routing_keys::text[], :bodies::bytea[]) as message
), refunded_failures as (
    select f.bucket
    from login_failures f
    join unnest(:counted_buckets::text[], :counted_windows::timestamptz[]) as counted (bucket, resets_at)
        using (bucket, resets_at)
    where exists (select from opened_account)
    order by f.bucket
    for update of f
), refund as (
    update login_failures f set failures = greatest(f.failures - 1, 0)
    from refunded_failures where f.bucket = refunded_failures.bucket
)
select a.* from opened_account a
