"""S3 as the handler knows it, and the clients behind that by name."""

import os
import random
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from fetch.answer import Body
from fetch.errors import InvalidEvent
from fetch.event import quoted

LEAN = "lean"  # our own, see fetch.lean
TUNED = "tuned"  # boto3 with as many connections as workers, and no response checksums
STOCK = "stock"  # boto3 just as it comes
NAMES = (LEAN, TUNED, STOCK)

ATTEMPTS = 10  # at one object: with one in eleven failing, less than one object in a billion stays unread


@dataclass(slots=True)
class Read:
    """How an object was, or was not, read."""

    attempts: int = 0
    first_byte: float = 0.0  # seconds from the last attempt's start to its first response byte


class Store(Protocol):
    """A client of S3. Its errors are FetchErrors."""

    @property
    def connections(self) -> int:
        """Count the connections opened so far."""

    async def warm(self, bucket: str, connections: int) -> None:
        """Do ahead what the first requests would wait for, as far as this client can."""

    def pages(self, bucket: str, prefix: str) -> AsyncIterator[list[str]]:
        """Give the keys under a prefix, page by page, in S3's order."""

    async def get(self, bucket: str, key: str, body: Body, read: Read) -> None:
        """Write one whole body, trying again where that can help; fail if it came short."""

    def begin(self, workers: int) -> None:
        """Get ready for an invocation that reads with so many workers."""

    def end(self) -> None:
        """Let go of what the invocation has left: reads in flight are no longer wanted."""


def open_store(name: str) -> Store:
    """Make the client of that name from the process's AWS configuration. It opens no connection."""
    if name == LEAN:
        from fetch.lean import Lean  # noqa: PLC0415 - one client a process: the other costs INIT nothing

        return Lean(os.environ)
    if name in (TUNED, STOCK):
        from fetch.sdk import Boto3  # noqa: PLC0415

        return Boto3(tuned=name == TUNED)
    raise InvalidEvent(f"client {quoted(name)}: must be one of {', '.join(NAMES)}")


def backoff(attempts: int) -> float:
    """Give the seconds to wait after so many attempts: up to 50 ms, twice that, and so on, at most 2 s."""
    return random.random() * min(0.025 * 2**attempts, 2) if attempts else 0  # noqa: S311 - no secret


def max_connections() -> int:
    """Give how many connections this process may hold: its file descriptors, but for 64 or a quarter of them."""
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)
    return files - min(64, files // 4)
