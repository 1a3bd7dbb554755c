"""HTTP, signatures, and what the client makes of an S3 that misbehaves."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TypeVar, cast

import pytest

from fetch import lean, store
from fetch.answer import Body
from fetch.errors import AccessDenied, FetchError, InvalidEvent, NoSuchBucket, S3Error, ShortBody
from fetch.lean import Lean, Place, Response, Signer, Text, locate, parse
from fetch.store import ATTEMPTS, Read

ENV = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 28\r\n\r\n<Error><Code>SlowDown</Code>"

T = TypeVar("T")


def feed(wire: bytes, cut: Callable[[bytes], Iterator[bytes]]) -> tuple[Response, bytes]:
    text = Text()
    parser = parse(text)
    next(parser)
    try:
        for data in cut(wire):
            parser.send(data)
        parser.throw(ConnectionResetError("closed"))
    except StopIteration as whole:
        return whole.value, bytes(text.bytes)
    raise AssertionError("unreachable")


def byte_by_byte(wire: bytes) -> Iterator[bytes]:
    return (wire[i : i + 1] for i in range(len(wire)))


def at_once(wire: bytes) -> Iterator[bytes]:
    return iter([wire])


@pytest.mark.parametrize("cut", [at_once, byte_by_byte])
@pytest.mark.parametrize(
    ("what", "wire", "body", "last"),
    [
        ("a length", OK, b"hello", False),
        ("in capitals, and spaced", b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:  2 \r\n\r\nhi", b"hi", False),
        ("no bytes", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", False),
        ("chunks", CHUNKED, b"hello", False),
        ("the last one", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        ("another field's end", b"HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length: 1\r\n\r\nx", b"x", False),
    ],
)
def test_responses(what: str, wire: bytes, body: bytes, cut: Callable[[bytes], Iterator[bytes]], *, last: bool) -> None:
    response, got = feed(wire, cut)
    assert (response.status, got, response.last) == (200, body, last), what


@pytest.mark.parametrize("cut", [at_once, byte_by_byte])
@pytest.mark.parametrize(
    ("what", "wire", "error"),
    [
        ("nothing", b"", ConnectionResetError),
        ("not HTTP", b"SSH-2.0-x\r\n\r\n", ConnectionError),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ConnectionError),
        ("no end of the head", b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000, ConnectionError),
        ("no length", b"HTTP/1.1 200 OK\r\n\r\nx", ShortBody),
        ("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", ShortBody),
        ("short", OK[:-1], ShortBody),
        ("a chunk missing", CHUNKED[:-5], ShortBody),
        ("a negative chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n", ShortBody),
        ("a chunk longer than it says", CHUNKED.replace(b"2\r\nhe", b"2\r\nhex"), ShortBody),
        ("an endless size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000, ShortBody),
    ],
)
def test_broken_responses(what: str, wire: bytes, error: type[Exception], cut: Callable[[bytes], Iterator[bytes]]) -> None:
    with pytest.raises(error):
        print(what, feed(wire, cut))


def test_more_bytes_than_announced() -> None:
    with pytest.raises(ShortBody, match="more bytes"):
        feed(OK + b"x", at_once)


def test_an_error_is_not_a_body() -> None:
    text, parser = Text(), parse(body := Body(b"S"))
    next(parser)
    with pytest.raises(StopIteration) as whole:
        parser.send(BUSY)
    assert whole.value.value.code == "SlowDown"
    assert (body.size, body.found, bytes(text.bytes)) == (0, False, b"")


def test_any_bytes_end_in_an_answer_or_a_named_error() -> None:
    """A fuzz test of one second: changed bytes, cut anywhere."""
    source = random.Random(1)  # noqa: S311
    for _ in range(20_000):
        wire = bytearray(source.choice([OK, CHUNKED, BUSY]))
        for _ in range(source.randrange(4)):
            wire[source.randrange(len(wire))] = source.choice(b"\r\n:;0123456789abcfgx \x00\xff")
        at = source.randrange(len(wire) + 1)
        with suppress(ConnectionError, ShortBody):
            feed(bytes(wire), lambda w, at=at: iter([w[:at], w[at:]]))  # type: ignore[misc]


PUBLISHED = Signer("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signatures_that_aws_publishes(query: str, signature: str) -> None:
    """From "Authenticating Requests: Using the Authorization Header"; both are of 24 May 2013."""
    wire = PUBLISHED.sign("examplebucket.s3.amazonaws.com", "/", query, at=1369353600.5)
    assert wire.endswith(f"Signature={signature}\r\n\r\n".encode()), wire


def test_the_key_is_the_days() -> None:
    signer = Signer("r", "id", "secret", "token")
    before = signer.sign("h", "/", at=1369353599)
    assert b"/20130523/r/s3/" in before
    assert b"\r\nx-amz-security-token:token\r\n" in before
    assert b"/20130524/r/s3/" in signer.sign("h", "/", at=1369353600)
    assert signer.sign("h", "/", at=1369353599) == before


@pytest.mark.parametrize(
    ("what", "bucket", "endpoint", "want"),
    [
        ("AWS", "photos", "https://s3.r.amazonaws.com", ("photos.s3.r.amazonaws.com", 443, "photos.s3.r.amazonaws.com", "")),
        ("a dot does not fit the certificate", "my.photos", "https://s3.r.x", ("s3.r.x", 443, "s3.r.x", "/my.photos")),
        ("an old name", "Photos_1", "https://s3.r.x", ("s3.r.x", 443, "s3.r.x", "/Photos_1")),
        ("a name that is none", "a?b/..", "https://s3.r.x", ("s3.r.x", 443, "s3.r.x", "/a%3Fb%2F..")),
        ("an address", "photos", "https://127.0.0.1:9000", ("127.0.0.1", 9000, "127.0.0.1:9000", "/photos")),
        ("an IPv6 address", "photos", "https://[::1]", ("::1", 443, "[::1]", "/photos")),
        ("localhost", "photos", "http://localhost:80/base/", ("localhost", 80, "localhost", "/base/photos")),
    ],
)
def test_places(what: str, bucket: str, endpoint: str, want: tuple[str, int, str, str]) -> None:
    assert locate(bucket, endpoint) == Place(endpoint.startswith("https"), *want), what


@pytest.mark.parametrize("bucket", ["arn:aws:s3:r:1:accesspoint/a", "photos--euw1-az3--x-s3"])
def test_places_that_lean_does_not_know(bucket: str) -> None:
    with pytest.raises(InvalidEvent, match="use client tuned"):
        locate(bucket, "https://s3.r.amazonaws.com")


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_settings_that_are_missing(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        Lean({name: value for name, value in ENV.items() if name != missing})


def against(answers: list[bytes], do: Callable[[Lean], Awaitable[T]], monkeypatch: pytest.MonkeyPatch) -> tuple[T, list[str]]:
    """Let a client loose on an S3 that gives these answers, one a request; those that end early, or with close, end the connection."""
    monkeypatch.setattr(lean, "backoff", lambda _: 0)
    asked: list[str] = []
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.decode().split(" ")[1])
                answer = answers[min(len(asked), len(answers)) - 1]
                writer.write(answer)
                if not answer.endswith((b"hello", b">")):
                    break
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def run() -> T:
        server = await asyncio.start_server(serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        client = Lean({**ENV, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"})
        client.begin(1)
        try:
            return await do(client)
        finally:
            client.end()
            client._take(Place(tls=False, host="", port=0, authority="", path=""))  # noqa: SLF001 - closes the idle ones
            await asyncio.gather(*serving)
            server.close()

    return asyncio.run(run()), asked


async def read_one(client: Lean) -> tuple[Read, int, int]:
    read, body = Read(), Body(None)
    await client.get("bucket", "a/../ü +%", body, read)
    return read, body.size, client.connections


@pytest.mark.parametrize(
    ("what", "answers", "attempts", "connections"),
    [
        ("at once", [OK], 1, 1),
        ("busy", [BUSY, BUSY, OK], 3, 1),
        ("closed without an answer", [b"", OK], 2, 2),
        ("a body that breaks off", [OK[:-2], OK], 2, 2),
        ("not HTTP", [b"nonsense\r\n\r\n", OK], 2, 2),
    ],
)
def test_get_tries_again(what: str, answers: list[bytes], attempts: int, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (read, size, opened), asked = against(answers, read_one, monkeypatch)
    assert (read.attempts, size, opened) == (attempts, 5, connections), what
    assert read.first_byte > 0
    assert asked == ["/bucket/a/../%C3%BC%20%2B%25"] * attempts  # no dot segment is taken out


def refused(code: str) -> bytes:
    text = f"<Error><Code>{code}</Code></Error>".encode()
    return b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


@pytest.mark.parametrize(
    ("answers", "error", "attempts"),
    [
        ([refused("NoSuchBucket")], NoSuchBucket, 1),
        ([refused("NoSuchKey")], S3Error, 1),
        ([refused("ExpiredToken")], AccessDenied, 1),
        ([refused("SlowDown")], S3Error, ATTEMPTS),
        ([OK[:-2]], ShortBody, ATTEMPTS),
        ([b""], S3Error, ATTEMPTS),
    ],
)
def test_get_fails(answers: list[bytes], error: type[Exception], attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(client: Lean) -> tuple[FetchError | None, int]:
        read = Read()
        try:
            await client.get("bucket", "key", Body(None), read)
        except FetchError as told:
            return told, read.attempts
        return None, read.attempts

    (told, tried), _ = against(answers, fail, monkeypatch)
    assert (type(told), tried) == (error, attempts)
    assert str(told).startswith("get s3://bucket/key: ")


def test_silence_ends_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(client: Lean) -> None:
        connection = await client._connect(locate("bucket", client._endpoint))  # noqa: SLF001
        connection.give_up_if_silent(time.monotonic() + 9)  # nobody has asked: it may stay
        assert not connection.closed
        asking = asyncio.ensure_future(connection.ask(b"GET", Text()))  # which is not all of a request
        await asyncio.sleep(0)
        connection.give_up_if_silent(time.monotonic() + 7)
        assert not asking.done()
        connection.give_up_if_silent(time.monotonic() + 9)
        with pytest.raises(TimeoutError):
            await asking
        assert connection.closed

    against([OK], wait, monkeypatch)


def listing(keys: str, token: str) -> bytes:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    contents = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys.split())
    text = f"<ListBucketResult><EncodingType>url</EncodingType>{more}{contents}</ListBucketResult>".encode()
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)


async def list_all(client: Lean) -> list[list[str]]:
    return [page async for page in client.pages("bucket", "a b/")]


def test_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pages, asked = against([listing("a+b %C3%BC%0A percent%2541", "t&amp;/="), listing("z", "")], list_all, monkeypatch)
    assert pages == [["a b", "ü\n", "percent%41"], ["z"]]
    first = "/bucket/?encoding-type=url&list-type=2&prefix=a%20b%2F"
    assert asked == [first, re.sub(r"\?", "?continuation-token=t%26%2F%3D&", first)]


def test_a_listing_that_does_not_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(S3Error, match="escaped"):
        against([listing("a", "").replace(b"<EncodingType>url", b"<EncodingType>xml")], list_all, monkeypatch)


def test_backoff() -> None:
    assert store.backoff(0) == 0  # the first attempt waits for nothing
    for attempts in range(1, ATTEMPTS):
        assert 0 <= store.backoff(attempts) <= min(0.025 * 2**attempts, 2)
