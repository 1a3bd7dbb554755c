"""One invocation: list, read with a bounded number of workers, answer."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fetch.answer import Body, Total
from fetch.errors import AccessDenied, DeadlineNear, FetchError, ListFailed, NoSuchBucket, ObjectReadFailed
from fetch.event import MAX_CONCURRENCY, Event, quoted
from fetch.store import LEAN, NAMES, Read, Store, max_connections, open_store

AUTO = 64  # what CONCURRENCY=auto, the default, means: 16 rounds of latency for 1,000 objects
WARM_WITHIN = 2.0  # seconds: Lambda ends INIT after 10
MB_PER_VCPU = 1769  # docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the function is deployed with."""

    concurrency: int = AUTO  # objects read at a time, where an event does not say
    client: str = LEAN
    memory_mb: int = 0  # 0: not in Lambda
    bucket: str = ""  # that events are expected to name; empty: any

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Self:
        """Read CONCURRENCY ("auto" or a number), CLIENT, BUCKET and Lambda's own AWS_LAMBDA_FUNCTION_MEMORY_SIZE.

        Raises ValueError, with the variable's name, value and what is allowed.
        """

        def number(name: str, otherwise: int, most: int, allowed: str) -> int:
            value = env.get(name, "")
            if value in ("", "auto"):
                return otherwise
            if not value.isdecimal() or not 1 <= int(value) <= most:
                raise ValueError(f"{name}={quoted(value)}: must be {allowed}")
            return int(value)

        client = env.get("CLIENT") or LEAN
        if client not in NAMES:
            raise ValueError(f"CLIENT={quoted(client)}: must be one of {', '.join(NAMES)}")
        return cls(
            concurrency=number("CONCURRENCY", AUTO, MAX_CONCURRENCY, f"auto or 1 to {MAX_CONCURRENCY}"),
            client=client,
            memory_mb=number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0, 1 << 20, "a number of MB"),
            bucket=env.get("BUCKET", ""),
        )


class Fetcher:
    """Answers events, one at a time. One serves a process, with one client of each kind."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Open the client and, where the bucket is known, its connections.

        It is for INIT, where a small function has a whole vCPU. What cannot be done
        ahead is done later: the first event will meet the same error, and name it.
        """
        self._settings = Settings.read(env)
        self._runner = asyncio.Runner()
        self._stores: dict[str, Store] = {}
        self._cold = True
        self._runner.run(self._warm())

    async def _warm(self) -> None:
        store = self._open(self._settings.client)
        if self._settings.bucket:
            with suppress(FetchError, OSError):
                async with asyncio.timeout(WARM_WITHIN):
                    await store.warm(self._settings.bucket, self._settings.concurrency)

    def _open(self, client: str) -> Store:
        if client not in self._stores:
            self._stores[client] = open_store(client)
        return self._stores[client]

    def handle(self, payload: object, left: float) -> dict[str, Any]:
        """Answer one event, parsed from JSON, within so many seconds. Raises a FetchError."""
        return self._runner.run(self._handle(payload, left))

    async def _handle(self, payload: object, left: float) -> dict[str, Any]:
        started, cpu = time.monotonic(), time.process_time()
        stop_at = asyncio.get_running_loop().time() + left - margin(left, self._settings.memory_mb)
        cold, self._cold = self._cold, False
        event = Event.decode(payload)
        client = event.client or self._settings.client
        workers = event.concurrency or self._settings.concurrency
        store = self._open(client)
        connections = store.connections
        job = Job(event, store)
        store.begin(workers)
        try:
            await job.run(workers, stop_at)
        finally:
            store.end()
        total = job.total
        return {
            "lang": "python",
            "detail": client,
            "result": total.result(searched=event.find is not None),
            "time": round(time.monotonic() - started, 3),
            "stats": {
                "objects": total.objects,
                "bytes": total.size,
                "errors": total.errors,
                "retries": total.retries,
                "connections": store.connections - connections,
                "list_ms": total.listing * 1000,
                "ttfb_p50_ms": total.first_byte.percentile_ms(50, 1),
                "ttfb_p99_ms": total.first_byte.percentile_ms(99, 100),  # under 100 it would be the maximum
                "cpu_ms": (time.process_time() - cpu) * 1000,
                "max_rss_mb": max_rss() / (1 << 20),
                "digest": f"{total.digest:016x}",
                "cold": cold,
                "concurrency": workers,
                "client": client,
            },
        }


class Job:
    """Everything that one event asks for."""

    def __init__(self, event: Event, store: Store) -> None:
        """Begin with nothing read."""
        self.total = Total()
        self._event, self._store = event, store
        # A page waits here while the one before it is read: memory does not grow with the objects.
        self._pages: asyncio.Queue[list[str] | None] = asyncio.Queue(1)
        self._page: Iterator[tuple[int, str]] = iter(())
        self._taken = 0
        self._turning = asyncio.Lock()

    async def run(self, workers: int, stop_at: float) -> None:
        """List and read until all is read, an error ends it, or it is stop_at by the loop's clock."""
        total = self.total
        try:
            async with asyncio.timeout_at(stop_at), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._list())
                for _ in range(min(workers, max_connections() - 1)):  # the list takes one, too
                    tasks.create_task(self._work())
        except TimeoutError:
            if not total.listed:
                raise DeadlineNear(
                    f"stopped just before the time limit: no page of s3://{self._event.s3_bucket_name}/{self._event.folder} "
                    "was listed; can the function reach S3 (in a VPC: through a gateway endpoint)?"
                ) from None
            raise DeadlineNear(
                f"stopped just before the time limit: {total.objects} of at least {total.listed} objects read; "
                "raise the timeout, the memory or the concurrency"
            ) from None
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        if total.failure and self._event.on_error != "continue":
            _, key, error = total.failure
            raise ObjectReadFailed(f"{total.errors} of {total.listed} objects failed; first {quoted(key)}: {error}")

    async def _list(self) -> None:
        """Put every page of keys in the queue, and None."""
        asked = time.monotonic()
        async for page in self._keys():
            self.total.listing += time.monotonic() - asked
            await self._pages.put(page)
            self.total.listed += len(page)
            asked = time.monotonic()
        await self._pages.put(None)

    async def _keys(self) -> AsyncIterator[list[str]]:
        if self._event.keys is not None:
            yield self._event.keys
            return
        try:
            async for page in self._store.pages(self._event.s3_bucket_name, self._event.folder):
                yield page
        except (NoSuchBucket, AccessDenied):
            raise
        except FetchError as error:
            raise ListFailed(str(error)) from error

    async def _take(self) -> tuple[int, str] | None:
        """Give the next key and its place in list order, when there is one; None: there are no more."""
        async with self._turning:
            while (item := next(self._page, None)) is None:
                if (page := await self._pages.get()) is None:
                    self._pages.put_nowait(None)  # for the next worker
                    return None
                self._page = enumerate(page, self._taken)
                self._taken += len(page)
            return item

    async def _work(self) -> None:
        """Be one worker."""
        body = Body(None if self._event.find is None else self._event.find.encode())
        while item := next(self._page, None) or await self._take():
            index, key = item
            read = Read()
            try:
                await self._store.get(self._event.s3_bucket_name, key, body, read)
            except NoSuchBucket:
                raise  # so will all the others
            except FetchError as error:
                self.total.fail(index, key, error)
            else:
                self.total.add(index, key, body, read.first_byte)
            finally:
                self.total.retries += max(read.attempts - 1, 0)


def margin(left: float, memory_mb: int) -> float:
    """Give how many seconds before the time limit to stop, so that an answer can still be sent.

    A tenth of what is left, at most 1 s, but never less than winding up takes on this
    memory's share of a CPU (100 ms of CPU time, in 200 ms to 1.5 s), nor more than half.
    """
    wind_up = max(0.2, min(0.1 * MB_PER_VCPU / memory_mb, 1.5)) if memory_mb else 0.2
    return min(max(min(left / 10, 1.0), wind_up), left / 2)


def max_rss() -> int:
    """Give this process's peak of resident memory, in bytes.

    It is VmHWM: ru_maxrss survives exec, and so begins with the peak of whoever started us.
    """
    peak = re.search(r"^VmHWM:\s+([0-9]+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak[1]) << 10 if peak else 0
