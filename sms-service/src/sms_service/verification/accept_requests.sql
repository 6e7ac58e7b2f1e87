-- Write accepted requests: number, verification, message and outbox. No two requests may be for the same number.
-- Returns the numbers that were written. A number that has changed since it was read stays as it is, and nothing is
-- written for its request: every other row hangs on the number's row.
--
-- Rows are locked in the order that count_attempts.sql explains. A message to a test number is finished at once, and so
-- is one that is withheld.
with requests as (
    select * from json_to_recordset(:requests::json) as request (
        phone_ref bigint, number_version bigint, purpose text, verification_id uuid, code_key_id int,
        created_at timestamptz, expires_at timestamptz, tries int, known_tries int, version int, phone_sealed bytea,
        dialect text, client text, language text, message_id uuid, requested_at timestamptz, to_test_number bool,
        send_network text, registered bool, known_networks bigint[], notice text, is_withheld bool,
        for_known bool
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
        phone_sealed, dialect, client, registered, known_networks
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
        case when to_test_number or is_withheld then requested_at end, client, notice, for_known
    from requests join changed_numbers using (phone_ref)
), outbox_messages as (
    insert into outbox (id, exchange, routing_key, body)
    select id, exchange, routing_key, body
    from json_to_recordset(:messages::json)
        as message (id uuid, exchange text, routing_key text, body bytea, phone_ref bigint)
    join changed_numbers using (phone_ref)
)
select phone_ref from changed_numbers
