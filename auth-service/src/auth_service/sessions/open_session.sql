-- Open a session, with everything that belongs to it, in one transaction.
-- All of it depends on the first step, which writes nothing when the password or the number changed, or the account was
-- banned, since the account was read; or for a log-in with a ticket, when its tickets ended. That step locks the
-- account, so sessions of one user open one after another. A network that was proven today is not written again.
-- Failures are locked in the order of their names, as start_check.sql locks them.
with opened_account as (
    update accounts
    set last_login_at = now(), password_hash = coalesce(:new_hash, password_hash)
    where user_id = :user_id and phone = :phone and password_changed_at = :password_changed_at and banned_at is null
        and tickets_valid_from = coalesce(:tickets_valid_from, tickets_valid_from)
    returning *
), new_session as (
    insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
    select :token_hash, :session_id, user_id, :client, :dialect, now() + interval '30 days' from opened_account
), forgotten_networks as (
    delete from known_networks k using opened_account a
    where k.user_id = a.user_id and k.network in (
        select network from known_networks where user_id = :user_id and network <> :known_network
        order by proven_on desc, network asc offset :max_other_networks
    )
), known_network as (
    insert into known_networks (user_id, network)
    select user_id, :known_network::bigint from opened_account
    where :known_network is not null and not exists (
        select from known_networks
        where user_id = :user_id and network = :known_network and proven_on = current_date
    )
    on conflict (user_id, network) do update set proven_on = current_date
), new_entry as (
    insert into audit_log (id, action, phone_ref, user_id, session_id, network, client, dialect)
    select :entry_id, :action, :phone_ref, user_id, :session_id, :network, :client, :dialect from opened_account
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
