-- Import users: their accounts, the marks of their old ids, and an audit entry each.
-- What is taken meanwhile is no error, because PostgreSQL would log the key of a unique violation: a clear number. The
-- caller compares the number of rows, and rolls back if one is missing. A mark that another import wrote meanwhile is a
-- unique violation; its key is only a mark.
with new_users as (
    select *
    from unnest(
        :user_ids::bigint[], :marks::bytea[], :phones::text[], :phone_refs::bigint[], :password_hashes::text[],
        :names::text[], :name_keys::text[], :nicknames::text[], :genders::text[], :mottos::text[], :avatars::text[],
        :thumbnails::text[], :covers::text[], :emails::text[], :levels::int[], :types::int[], :discoverables::bool[],
        :created_ats::timestamptz[], :last_seen_ats::timestamptz[], :banned_ats::timestamptz[],
        :banned_untils::timestamptz[], :entry_ids::uuid[]
    ) as users (
        user_id, mark, phone, phone_ref, password_hash, name, name_key, nickname, gender, motto, avatar, thumbnail,
        cover, email, level, type, discoverable, created_at, last_seen_at, banned_at, banned_until, entry_id
    )
), new_accounts as (
    insert into accounts (
        user_id, phone, password_hash, name, name_key, nickname, gender, motto, avatar, thumbnail, cover, email, level,
        type, discoverable, created_at, last_login_at, banned_at, banned_until, dialect, client
    )
    select
        user_id, phone, password_hash, name, name_key, nickname, gender, motto, avatar, thumbnail, cover, email, level,
        type, discoverable, created_at, last_seen_at, banned_at, banned_until, :dialect, ''
    from new_users
    on conflict do nothing
    returning *
), new_marks as (
    insert into imported_accounts (legacy_mark, user_id, open_since)
    select u.mark, user_id, case when a.banned_at is null then a.tickets_valid_from end
    from new_users u join new_accounts a using (user_id)
), new_entries as (
    insert into audit_log (id, action, phone_ref, user_id, dialect, client, actor, reason)
    select entry_id, :action, phone_ref, user_id, '', :client, :actor, :reason
    from new_users join new_accounts using (user_id)
)
select a.* from new_accounts a
