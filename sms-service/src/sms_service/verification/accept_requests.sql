-- Write accepted requests: number, verification, message and outbox. No two requests may be for the same number.
-- Returns the numbers that were written. A number that has changed since it was read stays as it is, and nothing is
-- written for its request: every other row hangs on the number's row.
--
-- Rows are locked in the order that count_attempts.sql explains. A message to a test number is finished at once, and so
-- is one that is withheld.
with requests as (
    select * from unnest(
        :phone_refs::bigint[], :number_versions::bigint[], :purposes::text[], :verification_ids::uuid[],
        :code_key_ids::int[], :created_at::timestamptz[], :expires_at::timestamptz[], :tries::int[], :versions::int[],
        :phones_sealed::bytea[], :dialects::text[], :clients::text[], :languages::text[], :message_ids::uuid[],
        :requested_at::timestamptz[], :to_test_numbers::bool[], :send_networks::text[], :known_tries::int[],
        :registered::bool[], :known_networks::text[], :notices::text[], :are_withheld::bool[]
    ) as request (
        phone_ref, number_version, purpose, verification_id, code_key_id, created_at, expires_at, tries, version,
        phone_sealed, dialect, client, language, message_id, requested_at, to_test_number, send_network, known_tries,
        registered, known_networks, notice, is_withheld
    )
), changed_numbers as (
    insert into number_activity (phone_ref, sends, send_networks, send_dialects, withheld_sends, version)
    select phone_ref, array[requested_at], array[send_network], array[dialect],
        case when is_withheld then array[requested_at] else '{}' end, number_version + 1
    from requests order by phone_ref
    on conflict (phone_ref) do update set
        sends = array(
            select at from unnest(number_activity.sends) as at
            where at > excluded.sends[1] - :send_window::interval
        ) || excluded.sends,
        send_networks = array(
            select network from unnest(number_activity.sends, number_activity.send_networks) as send (at, network)
            where at > excluded.sends[1] - :send_window::interval
        ) || excluded.send_networks,
        send_dialects = array(
            select dialect from unnest(number_activity.sends, number_activity.send_dialects) as send (at, dialect)
            where at > excluded.sends[1] - :send_window::interval
        ) || excluded.send_dialects,
        withheld_sends = array(
            select at from unnest(number_activity.withheld_sends) as at
            where at > excluded.sends[1] - :send_window::interval
        ) || excluded.withheld_sends,
        version = excluded.version
    where number_activity.version = excluded.version - 1
    returning phone_ref
), written_verifications as (
    insert into verifications (
        phone_ref, purpose, verification_id, code_key_id, created_at, expires_at, tries, known_tries, version,
        phone_sealed, dialect, client, registered, known_networks
    )
    select phone_ref, purpose, verification_id, code_key_id, created_at, expires_at, tries, known_tries, version,
        phone_sealed, dialect, client, registered, known_networks::bigint[]
    from requests join changed_numbers using (phone_ref)
    on conflict (phone_ref, purpose) do update set
        verification_id = excluded.verification_id, code_key_id = excluded.code_key_id,
        created_at = excluded.created_at, expires_at = excluded.expires_at, tries = excluded.tries,
        known_tries = excluded.known_tries, verified_at = null, verified_network = null, repeats = 0,
        registered = excluded.registered, known_networks = excluded.known_networks, version = excluded.version,
        phone_sealed = excluded.phone_sealed, dialect = excluded.dialect, client = excluded.client
), queued_messages as (
    insert into messages (
        message_id, verification_id, phone_ref, phone_sealed, purpose, code_key_id, dialect, state, created_at,
        expires_at, language, sender, failure, finished_at, client, notice, for_known
    )
    select message_id, verification_id, phone_ref, case when not (to_test_number or is_withheld) then phone_sealed end,
        purpose, code_key_id, dialect,
        case when to_test_number then 'sent' when is_withheld then 'failed' else 'queued' end, requested_at,
        expires_at, language, case when to_test_number then :test_sender else '' end,
        case when is_withheld then :withheld else '' end,
        case when to_test_number or is_withheld then requested_at end, client, notice, send_network = :known
    from requests join changed_numbers using (phone_ref)
), outbox_messages as (
    insert into outbox (id, exchange, routing_key, body)
    select id, exchange, routing_key, body
    from unnest(
        :outbox_ids::uuid[], :exchanges::text[], :routing_keys::text[], :bodies::bytea[], :outbox_phone_refs::bigint[]
    ) as message (id, exchange, routing_key, body, phone_ref)
    join changed_numbers using (phone_ref)
)
select phone_ref from changed_numbers
