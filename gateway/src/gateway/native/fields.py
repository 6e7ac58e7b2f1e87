"""What each field means, with an example, for the document of the contract."""

from gateway.http.discovery import KEY_EXAMPLE
from gateway.http.operations import FieldDoc

ISSUER = "https://id.example.com"
SESSION_ID = "5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4"
ACCESS_TOKEN = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImtQcktfcW14VldhWVZBOXd3QkY2SXVvM3ZWeno3VHhIQ1R3WEJ5Z3JTNGsiLCJ0eXAiOiJKV1QifQ."  # noqa: S105
    "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoiMTQxMjU0NTU0MzQ1MzQ2NCJ9.c2lnbmF0dXJl"
)

CODES = {
    "phone": FieldDoc(
        "A number in any spelling; without a country, one of +86. Responses have it in E.164.", "+8613800138000"
    ),
    "purpose": FieldDoc(
        "What the code is for. It works for nothing else. `change_phone`, `erase` and `export` require a session."
    ),
    "locale": FieldDoc(
        "The language of the message, as phones name it. By default that of `Accept-Language`.", "zh-CN"
    ),
    "code": FieldDoc("The six digits of the message, in any spelling.", "119614"),
    "challenge": FieldDoc(
        "Identifies one request for a code. It proves nothing without the code.", "AAGdpOM6eHCSpGoZVcEG0Vk"
    ),
    "ticket": FieldDoc(
        "Proves for ten minutes that a number was verified for one purpose. Opaque.", "AQ6kWmYvN0c8Qe1dVb5rZ2tXh7uLp3sJ"
    ),
    "old_ticket": FieldDoc("The `change_phone` ticket of the current number.", "AQ6kWmYvN0c8Qe1dVb5rZ2tXh7uLp3sJ"),
    "new_ticket": FieldDoc("The `change_phone` ticket of the new number.", "AQx1Yf8nT4mKcW9qGd0vBz6RjHs2LeUa"),
    "CodeSent.expires_in": FieldDoc("Seconds for which the code can be checked.", 300),
    "CodeChecked.expires_in": FieldDoc("Seconds for which the ticket can be used.", 600),
    "resend_after": FieldDoc("Seconds until the number may get another message.", 60),
}

SESSIONS = {
    "password": FieldDoc("8 to 128 printable ASCII characters, not the number.", "correct horse"),
    "EraseWithPassword.password": FieldDoc("The user's password.", "correct horse"),
    "EraseWithTicket.ticket": FieldDoc(
        "A ticket for `erase`, valid for five minutes.", "AQ6kWmYvN0c8Qe1dVb5rZ2tXh7uLp3sJ"
    ),
    "ExportWithPassword.password": FieldDoc("The user's password.", "correct horse"),
    "ExportWithTicket.ticket": FieldDoc(
        "A ticket for `export`, valid for five minutes.", "AQ6kWmYvN0c8Qe1dVb5rZ2tXh7uLp3sJ"
    ),
    "current": FieldDoc("The password that the user has now.", "wrong donkey"),
    "client": FieldDoc("The name of the app, for the list of sessions. By default `native`.", "native"),
    "access_token": FieldDoc("A JWT: send it as `Authorization: Bearer …`. Others verify it too.", ACCESS_TOKEN),
    "token_type": FieldDoc("The kind of the access token."),
    "Tokens.expires_in": FieldDoc("Seconds for which the access token is valid.", 900),
    "refresh_token": FieldDoc(
        "Gets the next tokens, and is replaced by theirs. Keep it secret.",
        "sOTzCJ0T4HqzmGf2k6uBvE5yWn8XcRaLdPqZo1iMh3U",
    ),
    "account": FieldDoc("The new account."),
    "tokens": FieldDoc("The tokens of its first session."),
    "sessions": FieldDoc("The user's open sessions, the newest first, at most 100."),
    "id": FieldDoc("The id of the session.", SESSION_ID),
    "dialect": FieldDoc("The contract that opened the session.", "native"),
    "opened_at": FieldDoc("When the session was opened (UTC).", "2026-11-20T08:00:00Z"),
    "Session.current": FieldDoc("Whether it is the session of this request.", example=True),
}

PROFILE = {
    "user_id": FieldDoc("The id of the user, below 2^53.", 1412545543453464),
    "nickname": FieldDoc("1 to 32 characters on one line. A new account has one.", "张三"),
    "gender": FieldDoc("`none` if the user has not said."),
    "motto": FieldDoc("Up to 200 characters on one line; empty if there is none.", "今天心情不错"),
    "avatar": FieldDoc("The https address of a picture; empty if there is none.", "https://img.example.com/a.png"),
    "discoverable": FieldDoc("Whether contact matching finds the user.", example=True),
    "created_at": FieldDoc("When the account was created (UTC).", "2026-11-20T08:00:00Z"),
}

CONTACTS = {
    "phones": FieldDoc(
        "At most 2,000 entries of an address book, as they are. Entries that are no number are skipped.",
        ["138 0013 8000", "+8613900139000"],
    ),
    "matches": FieldDoc("The users found, in the order of the request, each once."),
    "Contact.phone": FieldDoc("The number as the request has it.", "138 0013 8000"),
    "budget_left": FieldDoc("How many new numbers the user may still look up.", 4998),
}

PERSONAL_DATA = {
    "exported_at": FieldDoc("When the copy was made (UTC): nothing later is in it.", "2026-11-20T08:00:00Z"),
    "PersonalData.account": FieldDoc("Every field of the account, but for the hash of its password."),
    "name": FieldDoc("The login name of a contract that has one.", "zhangsan"),
    "thumbnail": FieldDoc("The address of a small picture; empty if there is none.", ""),
    "cover": FieldDoc("The address of a background picture; empty if there is none.", ""),
    "email": FieldDoc("As another system had it; empty if there is none.", ""),
    "level": FieldDoc("A number of the operator's own.", 0),
    "StoredAccount.type": FieldDoc("A number of the operator's own.", 0),
    "updated_at": FieldDoc("When it last changed (UTC).", "2026-11-20T08:00:00Z"),
    "last_login_at": FieldDoc("When the user last logged in (UTC).", "2026-11-20T08:00:00Z"),
    "last_used_at": FieldDoc("When a session was last used since then, to the day (UTC).", "2026-11-20T08:00:00Z"),
    "registered_with": FieldDoc("The contract of the registration.", "native"),
    "registered_by": FieldDoc("The name of the app that registered the account.", "native"),
    "has_password": FieldDoc("Whether the user has a password. Only its hash is stored.", example=True),
    "password_changed_at": FieldDoc("When the password was last set (UTC).", "2026-11-20T08:00:00Z"),
    "is_imported": FieldDoc("Whether the account came from another system.", example=False),
    "known_networks": FieldDoc("From how many networks the number was proven. They are stored as keyed references.", 1),
    "contacts": FieldDoc("What contact matching stores."),
    "entry": FieldDoc(
        "What others find of the user, if `visible`; null for the first seconds of an account.",
        {"nickname": "张三", "avatar": "", "visible": True, "updated_at": "2026-11-20T08:00:00Z"},
    ),
    "visible": FieldDoc("Whether others find the user.", example=True),
    "look_ups": FieldDoc("How many numbers count on the user's budget. They are stored as keyed fingerprints."),
    "numbers": FieldDoc("How many numbers count.", 12),
    "last_at": FieldDoc("When they were counted (UTC).", "2026-11-20T08:00:00Z"),
    "messages": FieldDoc("The messages with codes of the last 30 days, without the codes."),
    "requested_at": FieldDoc("When the message was requested (UTC).", "2026-11-20T08:00:00Z"),
    "language": FieldDoc("The language of the message.", "zh"),
    "state": FieldDoc("What became of it.", "sent"),
    "sender": FieldDoc("Who sent it.", "aliyun"),
    "finished_at": FieldDoc("When that was known (UTC).", "2026-11-20T08:00:00Z"),
    "code_events": FieldDoc("What happened to codes, oldest first."),
    "at": FieldDoc("When it happened (UTC).", "2026-11-20T08:00:00Z"),
    "kind": FieldDoc("What happened.", "correct"),
    "network": FieldDoc("The network of the caller, never an address; empty if it is not recorded.", "203.0.113.0/24"),
    "CodeEvent.detail": FieldDoc("Which limit refused, if one did.", ""),
    "activity": FieldDoc("What was decided about the account, oldest first, as the audit log has it."),
    "action": FieldDoc("What was decided.", "log_in_with_password.succeeded"),
    "Activity.detail": FieldDoc("More about it, such as why a session ended.", ""),
    "session_id": FieldDoc("The session that it is about.", SESSION_ID),
    "by_operator": FieldDoc("Whether an operator did it.", example=False),
}

PUBLIC_KEYS = {
    "keys": FieldDoc("Every key that may have signed a valid access token."),
    "kty": FieldDoc("The type of the key: `OKP` or `EC`.", KEY_EXAMPLE["kty"]),
    "crv": FieldDoc("The curve: `Ed25519` or `P-256`.", KEY_EXAMPLE["crv"]),
    "x": FieldDoc("A coordinate of the key, in base64url.", KEY_EXAMPLE["x"]),
    "y": FieldDoc("The other coordinate of a key on `P-256`.", "IrqWmOwqJ6YuShtUQ7JE-Ra-QVMBzTLmZ9WyTqJMZRk"),
    "kid": FieldDoc("The id of the key, in the header of its tokens.", KEY_EXAMPLE["kid"]),
    "use": FieldDoc("What the key is for: `sig`.", KEY_EXAMPLE["use"]),
    "alg": FieldDoc("The algorithm of its signatures."),
    "issuer": FieldDoc("The `iss` of access tokens.", ISSUER),
    "jwks_uri": FieldDoc("Where the public keys are.", f"{ISSUER}/.well-known/jwks.json"),
    "id_token_signing_alg_values_supported": FieldDoc("The algorithms of access tokens. There are no ID tokens."),
    "subject_types_supported": FieldDoc("`sub` is the same for every reader of a token."),
}

PROBLEMS = {
    "type": FieldDoc("A URI that names the kind of problem.", "urn:haoma:problem:number_refused"),
    "title": FieldDoc("The kind of problem, in the language of `Accept-Language`.", "Number refused"),
    "status": FieldDoc("The HTTP status.", 422),
    "detail": FieldDoc("What happened and what to do, in the same language.", "Check the number."),
    "Problem.code": FieldDoc("The kind of problem, for programs."),
    "retry_after": FieldDoc("Seconds to wait before trying again, as in `Retry-After`.", 42),
    "field": FieldDoc("The name of the parameter that is wrong.", "phone"),
    "tries_left": FieldDoc(
        "How often the code of this challenge may still be tried. At 0, request a new code; absent if none would help.",
        4,
    ),
}

FIELDS = CODES | SESSIONS | PROFILE | CONTACTS | PERSONAL_DATA | PUBLIC_KEYS | PROBLEMS
