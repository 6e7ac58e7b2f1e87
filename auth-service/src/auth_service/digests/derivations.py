"""The slow functions that other systems derive digests with: bcrypt, PBKDF2, scrypt, Firebase's scrypt and argon2.

Each takes the key (what the layout gives), the salt, and its parameters as text, and returns the digest in ASCII.
"""

import hashlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence

import bcrypt as bcrypt_library
from argon2 import Type
from argon2.low_level import hash_secret_raw
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

BCRYPT_BYTES = 72
"""bcrypt reads no more of a password. Older libraries cut it there; this one refuses a longer one."""
OPENSSL_MEMORY = 2**30
"""The bound for OpenSSL. ``costs`` allows a quarter of it."""
ARGON2_TYPES = {"d": Type.D, "i": Type.I, "id": Type.ID}
FIREBASE_KEY_BYTES = 64
AES_KEY_BYTES = 32
AES_BLOCK_BYTES = 16

Derive = Callable[[bytes, bytes, Sequence[str]], str]


def bcrypt(key: bytes, salt: bytes, parameters: Sequence[str]) -> str:
    """The 31 characters behind the salt. ``salt`` is bcrypt's own text of it: 22 characters."""
    (cost,) = map(int, parameters)
    return bcrypt_library.hashpw(key[:BCRYPT_BYTES], b"$2b$%02d$%b" % (cost, salt))[-31:].decode()


def pbkdf2(key: bytes, salt: bytes, parameters: Sequence[str]) -> str:
    """PBKDF2 (RFC 8018) with HMAC: function, rounds, and the size of the digest in bytes. As hex."""
    function, rounds, size = parameters
    return hashlib.pbkdf2_hmac(function, key, salt, int(rounds), int(size)).hex()


def scrypt(key: bytes, salt: bytes, parameters: Sequence[str]) -> str:
    """Scrypt (RFC 7914): n, r, p, and the size of the digest in bytes. As hex."""
    n, r, p, size = map(int, parameters)
    return hashlib.scrypt(key, salt=salt, n=n, r=r, p=p, maxmem=OPENSSL_MEMORY, dklen=size).hex()


def firebase(key: bytes, salt: bytes, parameters: Sequence[str]) -> str:
    """Firebase's variant: the signer key of the project, encrypted with AES under the first half of scrypt's key.

    Its memory cost, rounds, salt separator and signer key, the last two in base64url. As hex.
    """
    memory_cost, rounds, separator, signer_key = parameters
    salted, n = salt + urlsafe_b64decode(separator), 2 ** int(memory_cost)
    derived = hashlib.scrypt(key, salt=salted, n=n, r=int(rounds), p=1, maxmem=OPENSSL_MEMORY, dklen=FIREBASE_KEY_BYTES)
    encryptor = Cipher(AES(derived[:AES_KEY_BYTES]), CTR(bytes(AES_BLOCK_BYTES))).encryptor()
    return (encryptor.update(urlsafe_b64decode(signer_key)) + encryptor.finalize()).hex()


def argon2(key: bytes, salt: bytes, parameters: Sequence[str]) -> str:
    """Argon2 (RFC 9106), also in its older version 16: kind, version, KiB, passes, lanes, size in bytes. As hex."""
    kind, *rest = parameters
    version, memory, passes, lanes, size = map(int, rest)
    return hash_secret_raw(key, salt, passes, memory, lanes, size, ARGON2_TYPES[kind], version).hex()


DERIVATIONS: dict[str, Derive] = {
    "bcrypt": bcrypt,
    "pbkdf2": pbkdf2,
    "scrypt": scrypt,
    "firebase": firebase,
    "argon2": argon2,
}
