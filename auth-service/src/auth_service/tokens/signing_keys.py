"""The keys of access tokens: each seed of the ring makes one key for each algorithm (decision 40)."""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey

from shared.internal_api.public_keys import JwtAlgorithm
from shared.keys import KeyRing

ES256_INFO = b"haoma access tokens ES256"
SCALAR_BYTES = 48


def seeded_keys(ring: KeyRing, algorithm: JwtAlgorithm) -> list[tuple[Key, bytes]]:
    """Every key of the ring, with its seed.

    The first one, of the current seed and this algorithm, signs; all of them verify. Each key is bound to its
    algorithm, and its ``kid`` is its RFC 7638 thumbprint.
    """
    algorithms = sorted(JwtAlgorithm, key=lambda each: each is not algorithm)
    seeds = [ring.secret, *(seed for number, seed in ring.by_id.items() if number != ring.current)]
    keys = [(_key(seed, each), seed) for each in algorithms for seed in seeds]
    for key, _ in keys:
        key.ensure_kid()
    return keys


def _key(seed: bytes, algorithm: JwtAlgorithm) -> Key:
    use: KeyParameters = {"use": "sig", "alg": algorithm.value}
    if algorithm is JwtAlgorithm.EDDSA:
        return OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed), use)
    return ECKey.import_key(derive_private_key(_p256_scalar(seed), SECP256R1()), use)


def _p256_scalar(seed: bytes) -> int:
    """A P-256 private key from the seed: HKDF (RFC 5869), then FIPS 186-5 A.2.1, whose 128 extra bits leave no bias.

    Its label keeps it independent of the Ed25519 key of the same seed.
    """
    material = HKDF(SHA256(), SCALAR_BYTES, salt=None, info=ES256_INFO).derive(seed)
    return int.from_bytes(material, "big") % (SECP256R1().group_order - 1) + 1
