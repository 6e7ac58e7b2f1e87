-- Record correct codes: mark their verifications as verified and refund their attempts. One mark leaves the number, and
-- one attempt leaves the verification and the source network. The first correct code of a verification also counts on
-- the prefixes of its number, and its event is published. The outcome of each is stored.
-- Returns one row for each code that may be used: no newer verification has replaced it, and it was not used before, or
-- by who may repeat it (shared/tickets.py). No two checks may share a number or a network.
--
-- Rows are locked in the order that count_attempts.sql explains. PostgreSQL runs a CTE that nothing reads last, so
-- verified_prefixes reads how many networks were locked: that puts it after them. (Slices are written with a space
-- after the colon, because a name right after it would be a parameter.)
with correct_checks as (
    select * from json_to_recordset(:correct_checks::json) as correct (
        phone_ref bigint, verification_id uuid, attempted_at timestamptz, source_network text, resets_at timestamptz,
        dialect text, range text, network text, country text, event_id uuid, exchange text, routing_key text,
        body bytea, lane text, network_ref bigint, with_secret bool, caller_network text
    )
), locked_numbers as (
    select phone_ref from number_activity where phone_ref = any (:phone_refs::bigint[]) order by phone_ref for update
), refunded_numbers as (
    update number_activity n set
        failures = coalesce(
            n.failures[: array_position(n.failures, c.attempted_at) - 1]
                || n.failures[array_position(n.failures, c.attempted_at) + 1:],
            n.failures
        ),
        failure_networks = coalesce(
            n.failure_networks[: array_position(n.failures, c.attempted_at) - 1]
                || n.failure_networks[array_position(n.failures, c.attempted_at) + 1:],
            n.failure_networks
        ),
        version = n.version + 1
    from correct_checks c join locked_numbers using (phone_ref)
    where n.phone_ref = c.phone_ref
    returning c.*
), locked_networks as (
    select f.network
    from check_failures_by_network f
    join refunded_numbers n on n.source_network = f.network and n.resets_at = f.resets_at
    order by f.network for update of f
), refunded_networks as (
    update check_failures_by_network f set failures = f.failures - 1
    from locked_networks l
    where f.network = l.network and f.failures > 0
), locked_verifications as (
    select n.*, v.verified_at is null as is_first
    from refunded_numbers n join verifications v using (verification_id)
    for update of v
), verified as (
    update verifications v set
        verified_at = coalesce(v.verified_at, now()),
        verified_network = case when v.verified_at is null then l.network_ref else v.verified_network end,
        repeats = case
            when v.verified_at is null or l.with_secret or v.verified_network is distinct from l.network_ref
            then v.repeats else v.repeats + 1
        end,
        tries = v.tries - case l.lane when '' then 1 else 0 end,
        known_tries = v.known_tries - case l.lane when :known then 1 else 0 end
    from locked_verifications l
    where v.verification_id = l.verification_id
    returning l.*, v.verified_at, v.purpose, v.created_at,
        v.verified_network is distinct from l.network_ref as repeats_only,
        l.is_first or l.with_secret or (
            v.verified_network is not distinct from l.network_ref
            and v.repeats <= :max_repeats and now() < v.verified_at + :repeat_window::interval
        ) as is_usable
), verified_prefixes as (
    insert into prefix_traffic as t (starts_at, range, network, country, verified)
    select to_timestamp(floor(extract(epoch from created_at) / :bucket_seconds) * :bucket_seconds) as bucket,
        range, network, country, count(*)
    from verified cross join (select count(*) from locked_networks) as after_networks
    where is_first and range is not null
    group by bucket, range, network, country order by bucket, verified.range
    on conflict (starts_at, range) do update set verified = t.verified + excluded.verified
), stored_events as (
    insert into verification_events (id, phone_ref, verification_id, at, kind, purpose, dialect, network, detail)
    select event_id, phone_ref, verification_id, now(),
        case when is_first then 'correct' when is_usable then 'repeated' else 'unusable' end,
        purpose, dialect, caller_network, case when is_first or is_usable then '' else 'spent' end
    from verified
), outbox_messages as (
    insert into outbox (id, exchange, routing_key, body)
    select event_id, exchange, routing_key, body from verified where is_first
)
select verification_id, verified_at, now(), repeats_only from verified where is_usable
