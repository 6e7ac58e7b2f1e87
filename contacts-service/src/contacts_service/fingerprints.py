"""Keyed fingerprints: they tell whether a user has looked a number up before, and make no list that could be read."""

import hmac
from array import array
from collections.abc import Collection

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK = 16


class Fingerprints:
    """Fingerprints of ``bits`` bits, under a secret key, in as many whole bytes as these need.

    The fingerprint of a number is the beginning of AES over the pair of its reference and its user's, so those of two
    users cannot be compared. Many numbers share one: with 26 bits, 100 of the 7 billion mainland numbers.
    """

    def __init__(self, secret: bytes, bits: int) -> None:
        self.bits = bits
        self._width = (bits + 7) // 8
        unused = 8 * self._width - bits
        self._cut_byte = bytes(byte >> unused << unused for byte in range(256))
        self._owner_key = hmac.digest(secret, b"contact budget owner", "sha256")
        pair_key = hmac.digest(secret, b"contact budget fingerprint", "sha256")[:BLOCK]
        # ECB of a single block is AES itself: a keyed permutation, not a mode for longer texts.
        self._pairs = Cipher(AES(pair_key), ECB()).encryptor()  # noqa: S305

    def owner(self, own_ref: int) -> str:
        """A name for a user's number as 32 hex digits: one-way, and unlike its reference anywhere else."""
        return hmac.digest(self._owner_key, own_ref.to_bytes(8, "big", signed=True), "sha256")[:BLOCK].hex()

    def of(self, own_ref: int, refs: Collection[int]) -> bytes:
        """The fingerprints of the references that a user looks up, one after the other, with one call of AES."""
        pairs = array("q", (own_ref,)) * (2 * len(refs))
        pairs[::2] = array("q", list(refs))  # from a list it takes half as long as from other collections
        blocks = self._pairs.update(pairs.tobytes())
        width, last = self._width, self._width - 1
        fingerprints = bytearray(width * len(refs))
        for position in range(last):
            fingerprints[position::width] = blocks[position::BLOCK]
        fingerprints[last::width] = blocks[last::BLOCK].translate(self._cut_byte)
        return bytes(fingerprints)
