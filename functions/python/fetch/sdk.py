"""The clients tuned and stock: boto3, whose calls block, on a thread for each worker."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from fetch.answer import Body
from fetch.errors import FetchError, S3Error, ShortBody, named
from fetch.store import ATTEMPTS, Read, backoff, max_connections

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CHUNK = 1 << 16  # bytes of a body that a worker keeps


class Attempts(threading.local):
    """What a thread has seen of its current call."""

    count = 0
    started = 0.0  # time.monotonic() of the last attempt


class Boto3:
    """One boto3 client: see fetch.store.Store."""

    def __init__(self, *, tuned: bool) -> None:
        """Make the client; not tuned is as it comes: 10 connections are kept, and checksums verified."""
        config = Config(
            max_pool_connections=max_connections(),
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        self._client: S3Client = boto3.client("s3", config=config if tuned else None)
        self._client.meta.events.register("before-send.s3.GetObject", self._note_attempt)
        self._attempts = Attempts()

    @property
    def connections(self) -> int:
        """Count the connections that urllib3 has opened."""
        pools = self._client._endpoint.http_session._manager.pools  # type: ignore[attr-defined] # noqa: SLF001 - no other tells
        return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it cannot be iterated

    async def warm(self, bucket: str, connections: int) -> None:
        """Do nothing: boto3 opens connections only for requests."""

    def begin(self, workers: int) -> None:
        """Have a thread for each worker, and one that lists."""
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(workers + 1)

    def end(self) -> None:
        """Have the threads end after what they are at."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def pages(self, bucket: str, prefix: str) -> AsyncIterator[list[str]]:
        """Give the keys under a prefix, page by page."""
        loop = asyncio.get_running_loop()
        found = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
        while True:
            try:
                page = await loop.run_in_executor(self._threads, next, found, None)
            except (ClientError, BotoCoreError) as error:
                raise _told(error, f"list s3://{bucket}/{prefix}") from error
            if page is None:
                return
            yield [entry["Key"] for entry in page.get("Contents", [])]

    async def get(self, bucket: str, key: str, body: Body, read: Read) -> None:
        """Write one whole body."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._get, bucket, key, body, read, self._stop)

    def _get(self, bucket: str, key: str, body: Body, read: Read, stop: threading.Event) -> None:
        """Read on a thread. boto3 tries a request again; a body that breaks off is tried again here."""
        tried = f"get s3://{bucket}/{key}"
        attempts = self._attempts
        attempts.count = 0
        error = FetchError(f"{tried}: nobody waits for it")
        try:
            while attempts.count < ATTEMPTS and not stop.wait(backoff(attempts.count)):
                body.reset()
                try:
                    output = self._client.get_object(Bucket=bucket, Key=key)
                except (ClientError, BotoCoreError) as refused:
                    raise _told(refused, tried) from refused
                read.first_byte = time.monotonic() - attempts.started
                try:
                    while not stop.is_set() and (chunk := output["Body"].read(CHUNK)):
                        body.write(chunk)
                except (BotoCoreError, HTTPError, OSError) as broken:
                    error = ShortBody(f"{tried}: body broke off: {broken}")
                else:
                    return
            raise error
        finally:
            read.attempts = attempts.count

    def _note_attempt(self, **_: object) -> None:
        self._attempts.count += 1
        self._attempts.started = time.monotonic()


def _told(error: ClientError | BotoCoreError, tried: str) -> FetchError:
    """Give boto3's error its class."""
    if isinstance(error, ClientError):
        return named(error.response["Error"]["Code"], f"{tried}: {error}")
    return S3Error(f"{tried}: {type(error).__name__}: {error}")
