"""The formats of digests that can be imported. ``docs/moving-in.md`` has their table."""

from functools import partial

from auth_service.digests.costs import MALFORMED
from auth_service.digests.framework_formats import Read, read_better_auth, read_django, read_werkzeug
from auth_service.digests.layouts import SIZES, UNKNOWN_LAYOUT, parse_layout
from auth_service.digests.model import DigestRefusedError, ForeignDigest
from auth_service.digests.recipes import HashedLayout
from auth_service.digests.slow_formats import read_argon2, read_bcrypt, read_firebase, read_pbkdf2, read_scrypt
from auth_service.digests.spelling import SpelledDigest, digest_bytes


def read_digest(spelled: SpelledDigest) -> ForeignDigest:
    """The digest with its recipe.

    Raises ``DigestRefusedError``: for an unknown format, for a text that is no digest of its format, for a salt or an
    ``of`` that the format has no use for, and for one that needs too much memory or time.
    """
    read = WITH_PARAMETERS.get(spelled.format.partition(":")[0])
    if read is not None:
        return read(spelled)
    read = WITH_SALT_INSIDE.get(spelled.format)
    if read is None:
        return read_layout(spelled)
    if spelled.salt or (spelled.of != "p" and spelled.format not in OF_A_LAYOUT):
        raise DigestRefusedError(MALFORMED)
    return read(spelled)


def read_layout(spelled: SpelledDigest) -> ForeignDigest:
    """A layout of hash functions as the format, with the digest in hex or base64, and the salt beside it."""
    layout = parse_layout(spelled.format)
    if not layout.function or spelled.of != "p":
        raise DigestRefusedError(UNKNOWN_LAYOUT)
    if spelled.salt and "salt" not in layout.text:
        raise DigestRefusedError(MALFORMED)
    raw = digest_bytes(spelled.digest, SIZES[layout.function])
    return ForeignDigest(HashedLayout(layout, spelled.salt), raw.hex())


WITH_PARAMETERS: dict[str, Read] = {"pbkdf2": read_pbkdf2, "scrypt": read_scrypt}
"""Formats that begin so: their parameters follow, and the salt stands beside the digest."""
WITH_SALT_INSIDE: dict[str, Read] = {
    "bcrypt": read_bcrypt,
    "argon2": read_argon2,
    "firebase": read_firebase,
    "django": partial(read_django, read_layout=read_layout),
    "werkzeug": read_werkzeug,
    "better-auth": read_better_auth,
}
OF_A_LAYOUT = ("bcrypt", "argon2")
"""Formats of these that may be of something else than the password."""
