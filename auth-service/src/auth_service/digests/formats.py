"""The formats of digests that can be imported. ``docs/moving-in.md`` has their table."""

from functools import partial

from auth_service.digests.framework_formats import Read, read_better_auth, read_django, read_werkzeug
from auth_service.digests.layouts import SIZES, UNKNOWN_LAYOUT, parse_layout
from auth_service.digests.model import DigestRefusedError, ForeignDigest
from auth_service.digests.recipes import HashedLayout
from auth_service.digests.slow_formats import read_argon2, read_bcrypt, read_firebase, read_pbkdf2, read_scrypt
from auth_service.digests.spelling import SpelledDigest, digest_bytes


def read_digest(spelled: SpelledDigest) -> ForeignDigest:
    """The digest with its recipe.

    Raises ``DigestRefusedError``: for an unknown format, for a text that is no digest of its format, and for one that
    needs too much memory or time.
    """
    read = FORMATS.get(spelled.format.partition(":")[0])
    if read is None:
        return read_layout(spelled)
    return read(spelled)


def read_layout(spelled: SpelledDigest) -> ForeignDigest:
    """A layout of hash functions as the format, with the digest in hex or base64, and the salt beside it."""
    layout = parse_layout(spelled.format)
    if not layout.function or spelled.of != "p":
        raise DigestRefusedError(UNKNOWN_LAYOUT)
    raw = digest_bytes(spelled.digest, SIZES[layout.function])
    return ForeignDigest(HashedLayout(layout, spelled.salt), raw.hex())


FORMATS: dict[str, Read] = {
    "bcrypt": read_bcrypt,
    "argon2": read_argon2,
    "firebase": read_firebase,
    "pbkdf2": read_pbkdf2,
    "scrypt": read_scrypt,
    "django": partial(read_django, read_layout=read_layout),
    "werkzeug": read_werkzeug,
    "better-auth": read_better_auth,
}
