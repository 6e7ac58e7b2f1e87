-- Count an attempt for each check before its code is compared: on the number and on the source network, or on neither.
-- Returns one row for each check whose code may be compared. No two checks may share a number or a source network.
-- A check without a number is the only one, and its verification is also :lone_verification_id.
--
-- Lanes. Callers who are known to a number with an account (by a network among the known ones, or by the living session
-- of :session_refs, as long as its lane has room) count in lanes of their own, and never on their source network, nor
-- does a full app or network refuse them. The lane of strangers is an empty text. limits.py has the rules.
--
-- A code that was used before is compared again only for who may repeat it (shared/tickets.py).
--
-- Cost. PostgreSQL keeps one plan only if it expects few checks; otherwise it plans each execution anew, which costs
-- more than the execution. It expects 10 rows of an array, and a tenth of them under a limit that it does not know.
--
-- Locks. Every statement that changes numbers locks their rows first, then those of source networks, then those of
-- prefix traffic, each in the order of its key, so two statements never wait for each other. (An "order by" reads all
-- rows below it first.)
--
-- Races. A row that had to be waited for is judged by what it has become: attempts made at once are counted one by one.
-- (That is why caller, counted and room select from nothing: PostgreSQL folds them into the conditions, and evaluates
-- those again. What a subquery in "from" has read is not read again.)
-- A code that is already unusable is found without a lock, so a flood of attempts at it writes nothing. A source
-- network over its limit is refused before anything counts on the number: mostly by the snapshot that is read first,
-- and by the locked row where many of its attempts race.
with checks as (
    select purpose, verification_id, source_network, place, network_ref, session_ref, with_secret, app_is_full,
        coalesce(
            phone_ref, (select v.phone_ref from verifications v where v.verification_id = :lone_verification_id::uuid)
        ) as phone_ref
    from unnest(
        :phone_refs::bigint[], :purposes::text[], :verification_ids::uuid[], :source_networks::text[],
        :places::text[], :network_refs::bigint[], :session_refs::bigint[], :with_secrets::bool[],
        :are_apps_full::bool[]
    ) as request (
        phone_ref, purpose, verification_id, source_network, place, network_ref, session_ref, with_secret, app_is_full
    )
    limit cardinality(:purposes)
), locked_numbers as (
    select n.phone_ref, c.purpose, c.verification_id, caller.lane, counted.failures_left, room.is_reserved,
        room.is_first_here, coalesce(c.place, '') as place,
        case caller.lane when '' then c.source_network end as source_network
    from checks c
    join verifications v on v.phone_ref = c.phone_ref and v.purpose = c.purpose
        and v.verification_id = coalesce(c.verification_id, v.verification_id)
    join number_activity n on n.phone_ref = v.phone_ref
    cross join lateral (
        select case
            when v.registered and coalesce(c.network_ref = any (v.known_networks), false) then :known
            when v.registered and coalesce(c.session_ref = v.phone_ref, false) and (
                select count(*) filter (where failure.network = :session) < :failures_by_sessions
                    and count(*) < :failures_per_window
                from unnest(n.failures, n.failure_networks) as failure (at, network)
                where failure.network in (:known, :session) and failure.at > now() - :failure_window::interval
            ) then :session
            else ''
        end as lane
    ) as caller
    cross join lateral (
        select (
            select least(
                :failures_per_window - count(*) filter (
                    where (failure.network in (:known, :session)) = (caller.lane <> '')
                ),
                case
                    when caller.lane = :session then
                        :failures_by_sessions - count(*) filter (where failure.network = :session)
                    when caller.lane = '' and c.source_network is not null then
                        :failures_from_one_network - count(*) filter (where failure.network = c.source_network)
                end
            )
            from unnest(n.failures, n.failure_networks) as failure (at, network)
            where failure.at > now() - :failure_window::interval
        ) as failures_left
    ) as counted
    cross join lateral (
        select counted.failures_left > 0 or not v.registered and (
            select max(failure.at) < now() - :reserved_try_interval::interval
            from unnest(n.failures, n.failure_networks) as failure (at, network)
            where failure.network not in (:known, :session)
        ) as is_open, not v.registered and not exists (
            select from unnest(n.failures, n.failure_networks) as failure (at, network)
            where failure.network = c.place and failure.at > now() - :reserved_try_interval::interval
        ) and exists (
            select from unnest(n.sends, n.send_networks) as send (at, network)
            where send.network = c.place and send.at > now() - :code_lifetime::interval
        ) as is_reserved, not v.registered and (
            select max(send.at) from unnest(n.sends, n.send_networks) as send (at, network)
            where send.network = c.place and send.at > now() - :code_lifetime::interval
        ) > coalesce((
            select max(failure.at) from unnest(n.failures, n.failure_networks) as failure (at, network)
            where failure.network = c.place
        ), '-infinity') as is_first_here
    ) as room
    where now() < case
            when v.verified_at is null then v.expires_at else v.verified_at + :ticket_lifetime::interval
        end
        and (
            v.verified_at is null or c.with_secret or (
                v.verified_network is not distinct from c.network_ref
                and v.repeats < :max_repeats and now() < v.verified_at + :repeat_window::interval
            )
        )
        and (
            room.is_reserved
            or room.is_open and case caller.lane when '' then v.tries when :known then v.known_tries else 0 end
                < :tries_per_code
        )
        and (caller.lane <> '' or room.is_first_here or not c.app_is_full and not exists (
            select from check_failures_by_network f
            where f.network = c.source_network and f.failures >= :network_failures and f.resets_at > now()
        ))
    order by n.phone_ref for update of n
), charged_networks as (
    insert into check_failures_by_network as f (network, failures, resets_at)
    select source_network, 1, now() + :network_window::interval
    from locked_numbers where source_network is not null order by source_network
    on conflict (network) do update set
        failures = case when f.failures > 0 and f.resets_at > now() then f.failures + 1 else 1 end,
        resets_at = case when f.failures > 0 and f.resets_at > now() then f.resets_at else excluded.resets_at end
    where not (f.failures > 0 and f.resets_at > now()) or f.failures < :network_failures
        or exists (select from locked_numbers n where n.source_network = f.network and n.is_first_here)
    returning network, resets_at, failures
), counted_verifications as (
    update verifications v set
        tries = v.tries + case n.lane when '' then 1 else 0 end,
        known_tries = v.known_tries + case n.lane when :known then 1 else 0 end,
        version = v.version + 1
    from locked_numbers n left join charged_networks f on f.network = n.source_network
    where v.phone_ref = n.phone_ref and v.purpose = n.purpose
        and v.verification_id = coalesce(n.verification_id, v.verification_id)
        and (
            n.is_reserved
            or case n.lane when '' then v.tries when :known then v.known_tries else 0 end < :tries_per_code
        )
        and now() < case
            when v.verified_at is null then v.expires_at else v.verified_at + :ticket_lifetime::interval
        end
        and (n.source_network is null or f.network is not null)
    returning v.verification_id, v.phone_ref, v.phone_sealed, v.code_key_id, v.version, v.registered, n.lane,
        n.source_network, f.resets_at, n.failures_left - 1 as failures_left,
        :network_failures - f.failures as network_left,
        case n.lane when '' then v.tries when :known then v.known_tries else 0 end as tries
), counted_numbers as (
    update number_activity n set
        failures = array(
            select failure.at from unnest(n.failures) as failure (at)
            where failure.at > now() - :failure_window::interval
        ) || now(),
        failure_networks = array(
            select coalesce(failure.network, '') from unnest(n.failures, n.failure_networks) as failure (at, network)
            where failure.at > now() - :failure_window::interval
        ) || case v.lane when '' then l.place else v.lane end,
        version = n.version + 1
    from counted_verifications v join locked_numbers l using (phone_ref)
    where n.phone_ref = v.phone_ref
)
select *, now() as at from counted_verifications
