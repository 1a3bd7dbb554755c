"""Settings, time limits, and how an invocation ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fetch.answer import Body
from fetch.errors import AccessDenied, DeadlineNear, FetchError, ListFailed, NoSuchBucket, ObjectReadFailed, S3Error, ShortBody
from fetch.event import Event
from fetch.handler import AUTO, Job, Settings, margin, max_rss
from fetch.store import Read, open_store


def test_settings() -> None:
    env = {"CONCURRENCY": "7", "CLIENT": "tuned", "BUCKET": "b", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}
    assert Settings.read(env) == Settings(concurrency=7, client="tuned", memory_mb=128, bucket="b")
    for nothing in ({}, {"CONCURRENCY": "auto"}, {"CONCURRENCY": "", "CLIENT": ""}):
        assert Settings.read(nothing) == Settings(concurrency=AUTO, client="lean", memory_mb=0, bucket="")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONCURRENCY", "0"),  # below the range
        ("CONCURRENCY", "1025"),  # above it
        ("CONCURRENCY", "-1"),
        ("CONCURRENCY", "many"),
        ("CLIENT", "aws-sdk-s3"),  # another contender's
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"),
    ],
)
def test_bad_settings(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f'^{name}="{value}": must be '):
        Settings.read({name: value})


@pytest.mark.parametrize(
    ("left", "memory_mb", "want"),
    [
        (300.0, 1769, 1.0),  # a second at most
        (5.0, 1769, 0.5),  # a tenth
        (1.5, 1769, 0.2),  # what winding up takes
        (10.0, 128, 1.382),  # on a small share: 100 ms of CPU
        (1.0, 128, 0.5),  # half of it at most
        (0.0, 128, 0.0),  # too late already
    ],
)
def test_margin(left: float, memory_mb: int, want: float) -> None:
    assert margin(left, memory_mb) == pytest.approx(want, abs=0.001)


def test_max_rss() -> None:
    assert max_rss() > 1 << 20  # less than any process takes


class FakeStore:
    """Objects by key: bytes, or the error that reading them gives."""

    connections = 0

    def __init__(self, pages: list[Any], objects: dict[str, bytes | Exception] | None = None) -> None:
        self.listed = pages
        self.objects = objects or {}
        self.most = self.now = 0

    async def warm(self, bucket: str, connections: int) -> None: ...
    def begin(self, workers: int) -> None: ...
    def end(self) -> None: ...

    async def pages(self, bucket: str, prefix: str) -> AsyncIterator[list[str]]:
        assert (bucket, prefix) == ("b", "")
        for page in self.listed:
            if isinstance(page, Exception):
                raise page
            yield page

    async def get(self, bucket: str, key: str, body: Body, read: Read) -> None:
        assert bucket == "b"
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)  # others' turn
        self.now -= 1
        read.attempts = 2
        body.reset()
        outcome = self.objects.get(key, b"nothing")
        if isinstance(outcome, Exception):
            raise outcome
        body.write(outcome)


def run(store: FakeStore, workers: int = 3, limit: float = 60, **event: Any) -> Job:
    job = Job(Event(s3_bucket_name="b", **event), store)

    async def timed() -> None:
        await job.run(workers, asyncio.get_running_loop().time() + limit)

    asyncio.run(timed())
    return job


def test_first_match_in_list_order_over_pages() -> None:
    store = FakeStore([["a", "b"], [], ["c", "d", "e"]], {"d": b"xx", "c": b"xx"})
    total = run(store, find="xx").total
    assert (total.result(searched=True), total.objects, total.listed, total.retries) == ("c", 5, 5, 5)
    assert store.most == 3  # workers, and no more


def test_keys_are_not_listed() -> None:
    total = run(FakeStore([AssertionError("listed")], {"b": b"x", "a": b"x"}), keys=["b", "a", "b"], find="x").total
    assert (total.result(searched=True), total.objects) == ("b", 3)


def test_nothing_to_read() -> None:
    assert run(FakeStore([])).total.result(searched=False) == "0"
    assert run(FakeStore([]), find="x").total.result(searched=True) == "None"


@pytest.mark.parametrize(
    ("pages", "objects", "error", "message"),
    [
        ([["a"], NoSuchBucket("gone")], {}, NoSuchBucket, "gone"),
        ([AccessDenied("no")], {}, AccessDenied, "no"),
        ([["a"], S3Error("busy")], {}, ListFailed, "busy"),
        ([["a", "b"]], {"b": NoSuchBucket("gone")}, NoSuchBucket, "gone"),
        ([["a", "b", "c"]], {"c": ShortBody("short"), "b": S3Error("busy")}, ObjectReadFailed, '2 of 3 objects failed; first "b": busy'),
        ([["a"]], {"a": ZeroDivisionError("a bug")}, ZeroDivisionError, "a bug"),  # never an answer
    ],
)
def test_failures(pages: list[Any], objects: dict[str, bytes | Exception], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as told:
        run(FakeStore(pages, objects))
    assert (type(told.value), str(told.value)) == (error, message)


def test_on_error_continue() -> None:
    total = run(FakeStore([["a", "b"]], {"a": ShortBody("short")}), on_error="continue").total
    assert (total.result(searched=False), total.errors) == ("1", 1)


def test_the_time_limit() -> None:
    class Slow(FakeStore):
        async def get(self, *_: object) -> None:
            await asyncio.Event().wait()

    with pytest.raises(DeadlineNear, match="0 of at least 1 objects read"):
        run(Slow([["a"]]), limit=0.01)

    class Silent(FakeStore):
        async def pages(self, *_: object) -> AsyncIterator[list[str]]:
            await asyncio.Event().wait()
            yield []

    with pytest.raises(DeadlineNear, match="no page of s3://b/ was listed"):
        run(Silent([]), limit=0.01)


def test_unknown_client() -> None:
    with pytest.raises(FetchError, match='client "nobody\'s": must be one of lean, tuned, stock'):
        open_store("nobody's")
