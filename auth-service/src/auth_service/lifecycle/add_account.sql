-- Register an account, with everything that belongs to it, in one transaction.
-- A taken number or name is no error here, because PostgreSQL would log the key of a unique violation: a clear number.
-- It leaves new_account empty instead, and everything else depends on that row. A spent ticket is a unique violation,
-- which undoes the account; its key is only an id. A ticket that was made before the number's last account left opens
-- none, nor does one from before a backup was restored (the empty mark stands for every number).
with new_account as (
    insert into accounts (user_id, phone, password_hash, nickname, name, name_key, client, dialect)
    select :user_id, :phone, :password_hash, :nickname, :name, :name_key, :client, :dialect
    where not exists (
        select from freed_numbers where mark in (:number_mark, '') and freed_at >= :ticket_issued_at
    )
    on conflict do nothing
    returning *
), spent_ticket as (
    insert into spent_tickets (verification_id, purpose, user_id, network)
    select :verification_id, :purpose, user_id, :network_ref from new_account
), known_network as (
    insert into known_networks (user_id, network)
    select user_id, :known_network::bigint from new_account where :known_network is not null
), new_session as (
    insert into sessions (token_hash, session_id, user_id, client, dialect, expires_at)
    select :token_hash, :session_id, user_id, :client, :dialect, now() + interval '30 days' from new_account
), new_entry as (
    insert into audit_log (id, action, phone_ref, user_id, session_id, network, client, dialect)
    select :entry_id, :action, :phone_ref, user_id, :session_id, :network, :client, :dialect from new_account
), first_token as (
    insert into refresh_tokens (token_hash, session_id, begins_chain)
    select :first_token_hash, :session_id, true from new_account where :first_token_hash::bytea is not null
), grant_entry as (
    insert into audit_log (id, action, user_id, session_id, client, dialect)
    select :grant_entry_id, 'refresh_token.granted', user_id, :session_id, :client, :dialect
    from new_account where :first_token_hash::bytea is not null
), new_messages as (
    insert into outbox (id, exchange, routing_key, body)
    select message.*
    from new_account,
        unnest(:message_ids::uuid[], :exchanges::text[], :routing_keys::text[], :bodies::bytea[]) as message
)
select a.* from new_account a
