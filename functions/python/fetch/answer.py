"""What an invocation has read, and the answer made of it."""

from collections import Counter
from dataclasses import dataclass, field

from google_crc32c import extend as extend_crc32c

NOT_FOUND = "None"  # the result of a search that no object matched
_64_BITS = (1 << 64) - 1


def fingerprint(key: str, body_crc: int) -> int:
    """Give one object's share of the digest: the sum modulo 2^64 does not depend on the order.

    The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) ties a key to its
    body: a plain sum would not see two bodies swapped.
    """
    x: int = extend_crc32c(0, key.encode()) << 32 | body_crc
    x = (x + 0x9E3779B97F4A7C15) & _64_BITS
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _64_BITS
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _64_BITS
    return x ^ x >> 31


class Body:
    """The body being read: its length, its CRC-32C, and whether it holds the needle.

    It takes chunks of any size, and keeps no more than the needle's length of them.
    """

    __slots__ = ("_needle", "_tail", "crc", "found", "size")

    def __init__(self, needle: bytes | None) -> None:
        """Search for needle; None: only count."""
        self._needle = needle
        self.reset()

    def reset(self) -> None:
        """Forget every byte: the body is read again from its start."""
        self.size = self.crc = 0
        self.found = False
        self._tail = b""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self.crc = extend_crc32c(self.crc, chunk)
        needle = self._needle
        if needle is None or self.found:
            return
        keep, tail = len(needle) - 1, self._tail
        self.found = needle in chunk or (tail != b"" and needle in tail + chunk[:keep])
        self._tail = chunk[len(chunk) - keep :] if len(chunk) >= keep else (tail + chunk)[-keep:]


class Latencies:
    """A histogram in constant memory. Its buckets are 1/32 of an octave of microseconds: off by at most 3.2%."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Take one sample."""
        us = max(int(seconds * 1e6), 0)
        exponent = max(us.bit_length() - 6, 0)  # us >> exponent is 32 to 63, or less than 32 if it is 0
        self._buckets[exponent * 32 + (us >> exponent)] += 1

    def percentile_ms(self, percent: int, at_least: int) -> float | None:
        """Give the middle of the percentile's bucket; None under at_least samples."""
        count = self._buckets.total()
        if count < at_least:
            return None
        rank = (count - 1) * percent // 100
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank < 0:
                break
        if bucket >= 64:
            return (32 + bucket % 32 + 0.5) * (1 << bucket // 32 - 1) / 1000
        return bucket / 1000


@dataclass(slots=True)
class Total:
    """What was read so far, and what was not."""

    listed: int = 0
    objects: int = 0
    size: int = 0  # bytes of those objects
    errors: int = 0
    retries: int = 0  # GET attempts beyond the first of each object
    digest: int = 0
    listing: float = 0.0  # seconds spent waiting for pages
    first_byte: Latencies = field(default_factory=Latencies)
    match: tuple[int, str] | None = None  # index and key of the earliest in list order
    failure: tuple[int, str, Exception] | None = None  # the earliest in list order, and why

    def add(self, index: int, key: str, body: Body, first_byte: float) -> None:
        """Count in an object that was read whole."""
        self.objects += 1
        self.size += body.size
        self.digest = (self.digest + fingerprint(key, body.crc)) & _64_BITS
        self.first_byte.add(first_byte)
        if body.found and (self.match is None or index < self.match[0]):
            self.match = index, key

    def fail(self, index: int, key: str, error: Exception) -> None:
        """Count in an object that could not be read."""
        self.errors += 1
        if self.failure is None or index < self.failure[0]:
            self.failure = index, key, error

    def result(self, *, searched: bool) -> str:
        """Give the first matching key, "None", or the count of objects read."""
        if not searched:
            return str(self.objects)
        return self.match[1] if self.match else NOT_FOUND
