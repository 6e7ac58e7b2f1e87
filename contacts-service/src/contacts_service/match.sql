-- The visible users with these references, except the one who asks.
-- A number that moved from one user to another belongs to both until both events are applied. The later event decides,
-- also when its user is hidden.
with latest as (
    select distinct on (phone_ref) phone_ref, user_id, nickname, avatar, visible
    from directory
    where phone_ref = any(:refs::text::bigint[])
    order by phone_ref asc, occurred_at desc, user_id asc
)
select array_agg(phone_ref) as refs, array_agg(user_id) as user_ids,
    array_agg(nickname) as nicknames, array_agg(avatar) as avatars
from latest
where visible and user_id <> :user_id
