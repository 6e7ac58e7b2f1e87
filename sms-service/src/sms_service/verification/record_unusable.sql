-- Store that a code was entered for a verification that no code can pass, and why, up to the daily limit of its number.
-- Stores nothing if the number or the id has no verification for this purpose.
insert into verification_events (id, phone_ref, verification_id, at, kind, purpose, dialect, detail)
select :id, v.phone_ref, v.verification_id, now(), 'unusable', v.purpose, :dialect,
    case
        when v.verification_id <> :verification_id then 'replaced'
        when v.verified_at is not null then 'spent'
        when v.tries >= :max_tries or v.known_tries >= :max_tries then 'used_up'
        when v.expires_at <= now() then 'expired'
        else 'limited'
    end
from verifications v
where v.purpose = :purpose
    and v.phone_ref = coalesce(
        :phone_ref::bigint, (select phone_ref from verifications where verification_id = :verification_id::uuid)
    )
    and (:phone_ref::bigint is not null or v.verification_id = :verification_id)
    and (
        select count(*) from (
            select from verification_events e
            where e.phone_ref = v.phone_ref and e.kind = 'unusable' and e.at > now() - interval '1 day'
            limit :max_events
        ) as unusable_checks
    ) < :max_events
