-- Find out whether a new code would not help the caller either, since too many incorrect codes count on them, and store
-- that a code was entered for a verification that no code can pass, and why. Stores nothing unless :is_recorded, nor
-- beyond the daily limit of the number. Returns no row if the number or the id has no verification for this purpose.
--
-- The limits are those of count_attempts.sql. Strangers cannot replace a live code of a number with an account: they
-- would get the same one again, with no try left.
with unusable as (
    select v.phone_ref, v.verification_id, v.purpose,
        case
            when v.verification_id <> :verification_id then 'replaced'
            when v.verified_at is not null then 'spent'
            when v.tries >= :max_tries or v.known_tries >= :max_tries then 'used_up'
            when v.expires_at <= now() then 'expired'
            else 'limited'
        end as reason,
        failures.are_too_many and (v.registered or failures.are_recent)
        or caller.lane = '' and (
            v.registered and (
                :app_is_full::bool
                or exists (
                    select from check_failures_by_network f
                    where f.network = :source_network and f.failures >= :network_failures and f.resets_at > now()
                )
            )
            or v.registered and v.tries >= :max_tries and v.known_tries < :max_tries
            and v.verified_at is null and v.expires_at > now()
        ) as is_limited
    from verifications v
    join number_activity n on n.phone_ref = v.phone_ref
    cross join lateral (
        select case
            when v.registered and coalesce(:network_ref::bigint = any (v.known_networks), false) then :known
            when v.registered and coalesce(:session_ref::bigint = v.phone_ref, false) and (
                select count(*) filter (where failure.network = :session) < :failures_by_sessions
                    and count(*) < :failures_per_window
                from unnest(n.failures, n.failure_networks) as failure (at, network)
                where failure.network in (:known, :session) and failure.at > now() - :failure_window::interval
            ) then :session
            else ''
        end as lane
    ) as caller
    cross join lateral (
        select
            count(*) filter (where (failure.network in (:known, :session)) = (caller.lane <> ''))
            >= :failures_per_window
            or caller.lane = ''
            and count(*) filter (where failure.network = :source_network) >= :failures_from_one_network as are_too_many,
            coalesce(bool_or(
                failure.network = coalesce(:place, failure.network)
                and failure.at > now() - :reserved_try_interval::interval
            ), false) as are_recent
        from unnest(n.failures, n.failure_networks) as failure (at, network)
        where failure.at > now() - :failure_window::interval
    ) as failures
    where v.purpose = :purpose
        and v.phone_ref = coalesce(
            :phone_ref::bigint, (select phone_ref from verifications where verification_id = :verification_id::uuid)
        )
        and (:phone_ref::bigint is not null or v.verification_id = :verification_id)
), recorded_events as (
    insert into verification_events (id, phone_ref, verification_id, at, kind, purpose, dialect, network, detail)
    select :id, u.phone_ref, u.verification_id, now(), 'unusable', u.purpose, :dialect, :network, u.reason
    from unusable u
    where :is_recorded::bool and (
        select count(*) from (
            select from verification_events e
            where e.phone_ref = u.phone_ref and e.kind = 'unusable' and e.at > now() - interval '1 day'
            limit :max_events
        ) as unusable_checks
    ) < :max_events
)
select is_limited from unusable
