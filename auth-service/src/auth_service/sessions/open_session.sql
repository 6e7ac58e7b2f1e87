-- Open a session, with everything that belongs to it, in one transaction.
-- First the log-in is counted in its buckets, as start_check.sql counts failures; nothing else is written when one of
-- them is full. The rest depends on opened_account, which writes nothing when the password or the number changed, or
-- the account was banned, since the account was read; or for a log-in with a ticket, when its tickets ended. That step
-- locks the account, so sessions of one user open one after another. A network that was proven today is not written
-- again. Rows of login_limits are locked in the order of their names: those of successes before the account, those of
-- failures after it. Over new rows statements may still wait in a circle (deadlocks.py). A user who has at least
-- :few_sessions, unless it is null, is crowded: then nothing at all is written.
with crowd as (
    select coalesce(count(*) >= :few_sessions::bigint, false) as is_crowded
    from (select from sessions where user_id = :user_id limit :few_sessions::bigint) as sessions
), limits as (
    select bucket, each_takes, period
    from unnest(:success_buckets::text[], :success_intervals::interval[], :success_periods::interval[])
        as limits (bucket, each_takes, period)
), locked_buckets as (
    select bucket, full_at from login_limits where bucket = any (:success_buckets::text[]) order by bucket for update
), full_buckets as (
    select full_at + each_takes - period as free_at
    from locked_buckets join limits using (bucket)
    where full_at + each_takes > now() + period
), counted_successes as (
    insert into login_limits as l (bucket, full_at)
    select bucket, now() + each_takes from limits, crowd
    where not exists (select from full_buckets) and not is_crowded
    order by bucket
    on conflict (bucket) do update set full_at = greatest(l.full_at, now()) + (excluded.full_at - now())
    returning bucket
), opened_account as (
    update accounts
    set last_login_at = now(), password_hash = coalesce(:new_hash, password_hash)
    where user_id = :user_id and phone = :phone and password_changed_at = :password_changed_at and banned_at is null
        and tickets_valid_from = coalesce(:tickets_valid_from, tickets_valid_from)
        and (select count(*) from counted_successes) = (select count(*) from limits)
        and not (select is_crowded from crowd)
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
    select l.bucket, counted.each_takes
    from login_limits l
    join unnest(:counted_buckets::text[], :counted_intervals::interval[]) as counted (bucket, each_takes) using (bucket)
    where exists (select from opened_account)
    order by l.bucket
    for update of l
), refund as (
    update login_limits l set full_at = l.full_at - refunded_failures.each_takes
    from refunded_failures where l.bucket = refunded_failures.bucket
), refusal as (
    select ceil(extract(epoch from max(free_at) - now()))::int as retry_after from full_buckets
)
select retry_after, is_crowded, a.* from crowd, refusal left join opened_account a on true
