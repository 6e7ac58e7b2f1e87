-- Write what the accounts say of some users, unless an event has changed their row since it was read.
-- Neither a higher version nor an erased user's row is protected here: the account decides.
with corrections as (
    select c.*
    from unnest(
        :user_ids::bigint[], :seen_versions::int[], :phone_refs::bigint[], :nicknames::text[], :avatars::text[],
        :visibles::boolean[], :versions::int[], :times::float8[]
    ) as c (user_id, seen_version, phone_ref, nickname, avatar, visible, version, changed_at)
), corrected as (
    update directory as d
    set phone_ref = c.phone_ref, nickname = c.nickname, avatar = c.avatar, visible = c.visible, version = c.version,
        occurred_at = coalesce(to_timestamp(c.changed_at), now()), updated_at = now()
    from corrections c
    where d.user_id = c.user_id and d.version = c.seen_version
    returning d.user_id
), added as (
    insert into directory (user_id, phone_ref, nickname, avatar, visible, version, occurred_at)
    select user_id, phone_ref, nickname, avatar, visible, version, to_timestamp(changed_at)
    from corrections
    where seen_version is null
    on conflict do nothing
    returning user_id
)
select user_id from corrected
union all
select user_id from added
