"""The client lean: HTTP/1.1 and Signature Version 4 on asyncio, and no more than reading whole objects needs.

It reads general purpose buckets, with the credentials of the environment, and
knows no proxies: for access points, directory buckets and the rest, use the SDK.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import random
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote, unquote_plus, urlsplit
from xml.sax.saxutils import unescape

from fetch.answer import Body
from fetch.errors import FetchError, InvalidEvent, S3Error, ShortBody, named
from fetch.store import ATTEMPTS, Read, backoff, max_connections

RECORD = 1 << 14  # bytes: a TLS record is no longer
KEEP_ADDRESSES = 10.0  # seconds
SILENCE = 8.0  # seconds without a byte after which a connection is given up
MOST_TEXT = 16 << 20  # bytes of a listing's page: 1,000 keys of 1,024 bytes, escaped, are 3 MB

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+) *\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked *\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close *\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9])[ \r]")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})(?:[ \t]*;.*)?")
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]+)</Code>")
_KEY = re.compile(rb"<Key>([^<]+)</Key>")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_TRANSIENT = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}


class Sink(Protocol):
    """Takes a body's bytes, in order."""

    def reset(self) -> None:
        """Forget every byte: the body is read again from its start."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""


class Text:
    """A sink that keeps a listing, or what S3 says about an error."""

    def __init__(self) -> None:
        """Begin without a byte."""
        self.bytes = bytearray()

    def reset(self) -> None:
        """Forget every byte."""
        self.bytes.clear()

    def write(self, chunk: bytes) -> None:
        """Keep the next bytes."""
        self.bytes += chunk
        if len(self.bytes) > MOST_TEXT:
            raise ConnectionError(f"a text of more than {MOST_TEXT} bytes")


@dataclass(slots=True)
class Response:
    """A response whose body went to its sink, or, unless the status is 200, into text."""

    status: int
    first_byte: float  # time.monotonic()
    last: bool  # the connection takes no other request
    text: bytes = b""

    @property
    def code(self) -> str:
        """S3's name for what is wrong."""
        found = _CODE.search(self.text)
        return found[1].decode() if found else f"HTTP {self.status}"


def parse(sink: Sink) -> Generator[None, bytes, Response]:
    """Parse one response: send it what the connection gives. What breaks HTTP is a ConnectionError."""
    data = yield
    first_byte = time.monotonic()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > 1 << 16:
            raise ConnectionError("a head of more than 64 KB")
        data += yield
    head, data = data[: end + 2], data[end + 4 :]
    if not (status := _STATUS.match(head)):
        raise ConnectionError(f"not HTTP/1.1: {head[:20]!r}")
    response = Response(int(status[1]), first_byte, bool(_CLOSE.search(head)))
    text = Text()
    if response.status != 200:
        sink = text
    try:
        if length := _LENGTH.search(head):
            yield from _parse_sized(sink, data, int(length[1]))
        elif _CHUNKED.search(head):
            yield from _parse_chunks(sink, data)
        else:
            raise ConnectionError("a body without a length")
    except OSError as error:
        raise ShortBody(f"body broke off: {error}") from error
    response.text = bytes(text.bytes)
    return response


def _parse_sized(sink: Sink, data: bytes, left: int) -> Generator[None, bytes, None]:
    while left:
        left -= len(data)
        if left < 0:
            raise ConnectionError("more bytes than announced")
        if data:
            sink.write(data)
        if left:
            data = yield


def _parse_chunks(sink: Sink, data: bytes) -> Generator[None, bytes, None]:
    while True:
        while (end := data.find(b"\r\n")) < 0:
            if len(data) > 1 << 10:
                raise ConnectionError("a chunk without a size")
            data += yield
        if not (size := _SIZE.fullmatch(data, 0, end)):
            raise ConnectionError(f"a chunk of size {data[:20]!r}")
        left, data = int(size[1], 16), data[end + 2 :]
        while len(data) < left + 2:
            data += yield
        if data[left : left + 2] != b"\r\n":
            raise ConnectionError("a chunk longer than its size, or a trailer")
        if not left:
            return
        sink.write(data[:left])
        data = data[left + 2 :]


class Connection:
    """One connection, with one request at a time.

    Its socket does TLS itself: asyncio's transports would copy every byte twice more,
    and with them an object took 60% more CPU (measured in the sandbox).
    """

    def __init__(self, connected: socket.socket) -> None:
        """Take a connected socket that does not block."""
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._loop.add_reader(connected, self._readable)
        self._parser: Generator[None, bytes, Response] | None = None
        self._response: asyncio.Future[Response]
        self._heard = 0.0  # time.monotonic() of the last byte, or of the request
        self.closed = False

    async def ask(self, request: bytes, sink: Sink) -> Response:
        """Send a request; its response's body goes to sink. Whatever goes wrong, the connection is closed."""
        self._response = self._loop.create_future()
        self._parser = parse(sink)
        next(self._parser)
        self._heard = time.monotonic()
        try:
            if self._socket.send(request) < len(request):
                raise ConnectionError("a request was not taken whole")  # by a buffer of many times its size
            response = await self._response
        except BaseException:  # also if nobody waits any more: the response would come all the same
            self.close()
            raise
        if response.last:
            self.close()
        return response

    def _readable(self) -> None:
        """Take what has come, or learn that the connection has ended."""
        self._heard = time.monotonic()
        try:
            while True:
                data = self._socket.recv(RECORD)
                if not data:
                    raise ConnectionResetError("closed by S3")
                if not self._parser:
                    raise ConnectionError("nobody has asked")
                self._parser.send(data)
        except (ssl.SSLWantReadError, BlockingIOError):
            pass  # that was all
        except StopIteration as whole:
            self._parser = None
            if not self._response.done():
                self._response.set_result(whole.value)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End the request in flight, and the connection."""
        if self._parser and not self._response.done():
            try:
                self._parser.throw(error)  # it knows whether this is amid a body
            except Exception as told:
                self._response.set_exception(told)
        self.close()

    def give_up_if_silent(self, now: float) -> None:
        """Fail the request in flight if nothing has come for too long."""
        if self._parser and now - self._heard > SILENCE:
            self._fail(TimeoutError(f"nothing came for {SILENCE:.0f} s"))

    def close(self) -> None:
        """Close at once, whatever is in flight."""
        if not self.closed:
            self.closed, self._parser = True, None
            self._loop.remove_reader(self._socket)
            self._socket.close()


class Signer:
    """Signs GET requests without a body (Signature Version 4)."""

    def __init__(self, region: str, key_id: str, secret: str, token: str) -> None:
        """Sign with these credentials; token is empty for those of a user."""
        self._region, self._key_id, self._secret, self._token = region, key_id, secret, token
        self._second = 0
        self._stamp = self._scope = ""
        self._key = b""

    def sign(self, authority: str, path: str, query: str = "", at: float | None = None) -> bytes:
        """Give the whole request; path and query are escaped, the query sorted. at is in Unix seconds: now."""
        second = int(time.time() if at is None else at)
        if second != self._second:
            self._tick(second)
        names, token = "host;x-amz-content-sha256;x-amz-date", ""
        if self._token:
            names, token = names + ";x-amz-security-token", f"x-amz-security-token:{self._token}\n"
        fields = f"x-amz-content-sha256:{EMPTY_SHA256}\nx-amz-date:{self._stamp}\n{token}"
        canonical = f"GET\n{path}\n{query}\nhost:{authority}\n{fields}\n{names}\n{EMPTY_SHA256}"
        text = f"AWS4-HMAC-SHA256\n{self._stamp}\n{self._scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        target = f"{path}?{query}" if query else path
        return (
            (
                f"GET {target} HTTP/1.1\nHost: {authority}\nUser-Agent: fanout\n{fields}Authorization: AWS4-HMAC-SHA256 "
                f"Credential={self._key_id}/{self._scope}, SignedHeaders={names}, Signature={signature}\n\n"
            )
            .replace("\n", "\r\n")
            .encode()
        )

    def _tick(self, second: int) -> None:
        """Move on to another second, and on a new day to another key."""
        self._second, self._stamp = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        scope = f"{self._stamp[:8]}/{self._region}/s3/aws4_request"
        if scope != self._scope:
            self._scope, self._key = scope, f"AWS4{self._secret}".encode()
            for part in scope.split("/"):
                self._key = hmac.digest(self._key, part.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is: path is what comes before a key's slash."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str


@cache
def locate(bucket: str, endpoint: str) -> Place:
    """Find a bucket at an endpoint: by its name in front of the host's if that is a label in a domain."""
    if bucket.startswith("arn:") or (bucket.endswith("-s3") and "--" in bucket):
        raise InvalidEvent(f"event: s3_bucket_name {bucket}: lean reads general purpose buckets by name; use client tuned")
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"endpoint {endpoint}: must be http(s)://HOST[:PORT][/PATH]")
    host, path, tls = url.hostname, url.path.rstrip("/"), url.scheme == "https"
    if _LABEL.fullmatch(bucket) and host != "localhost" and not _is_address(host):
        host = f"{bucket}.{host}"
    else:
        path += "/" + quote(bucket, safe="")
    port = url.port or (443 if tls else 80)
    authority = f"[{host}]" if ":" in host else host
    return Place(tls, host, port, authority if port == (443 if tls else 80) else f"{authority}:{port}", path)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Lean:
    """A client with its connections: see fetch.store.Store."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Take the settings that Lambda and the SDKs use."""
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        key_id, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
        if not region or not key_id or not secret:
            raise ValueError("AWS_REGION, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.{domain}"
        self._signer = Signer(region, key_id, secret, env.get("AWS_SESSION_TOKEN", ""))
        self._tls = ssl.create_default_context(cafile=env.get("AWS_CA_BUNDLE"))
        self._open: set[Connection] = set()
        self._idle: dict[Place, list[Connection]] = {}
        self._resolving = asyncio.Lock()
        self._addresses: dict[Place, tuple[float, list[tuple[Any, ...]]]] = {}
        self._watch: asyncio.TimerHandle
        self.connections = 0

    def begin(self, workers: int) -> None:
        """Watch over the requests in flight."""
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        self._open = {connection for connection in self._open if not connection.closed}
        for connection in self._open:
            connection.give_up_if_silent(now)
        self._watch = loop.call_later(1, self.begin, workers)

    def end(self) -> None:
        """Stop watching."""
        self._watch.cancel()

    async def warm(self, bucket: str, connections: int) -> None:
        """Open connections ahead of the first request."""
        place = locate(bucket, self._endpoint)
        opened = await asyncio.gather(*(self._connect(place) for _ in range(min(connections, max_connections()))))
        self._idle[place] = opened

    async def pages(self, bucket: str, prefix: str) -> AsyncIterator[list[str]]:
        """Give the keys under a prefix, page by page."""
        place, tried = locate(bucket, self._endpoint), f"list s3://{bucket}/{prefix}"
        token, text = "", Text()
        while True:
            query = f"encoding-type=url&list-type=2&prefix={quote(prefix, safe='')}"  # XML cannot carry every key
            if token:
                query = f"continuation-token={quote(token, safe='')}&{query}"
            await self._read(tried, place, "/", query, text, Read())
            if b"<EncodingType>url</EncodingType>" not in text.bytes:
                raise S3Error(f"{tried}: not a listing with escaped keys")
            # Escaped keys have nothing that XML would escape, and this takes a tenth of a parser's time.
            yield [unquote_plus(key.decode()) for key in _KEY.findall(text.bytes)]
            more = _TOKEN.search(text.bytes)
            token = unescape(more[1].decode()) if more else ""
            if not token:
                return

    async def get(self, bucket: str, key: str, body: Body, read: Read) -> None:
        """Write one whole body."""
        await self._read(f"get s3://{bucket}/{key}", locate(bucket, self._endpoint), "/" + quote(key), "", body, read)

    async def _read(self, tried: str, place: Place, path: str, query: str, sink: Sink, read: Read) -> None:
        """Ask until there is an answer, later and later: that helps against a busy S3 and a broken line."""
        error = FetchError()
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(backoff(attempt))
            sink.reset()
            read.attempts += 1
            started = time.monotonic()
            try:
                response = await self._ask(place, place.path + path, query, sink)
            except ssl.SSLCertVerificationError as untrusted:
                raise S3Error(f"{tried}: {untrusted}") from untrusted
            except ShortBody as short:
                error = ShortBody(f"{tried}: {short}")
            except OSError as broken:
                error = S3Error(f"{tried}: {type(broken).__name__}: {broken}")
            else:
                if response.status == 200:
                    read.first_byte = response.first_byte - started
                    return
                error = named(response.code, f"{tried}: {response.code}")
                if response.status < 500 and response.status != 429 and response.code not in _TRANSIENT:
                    break
        raise error

    async def _ask(self, place: Place, path: str, query: str, sink: Sink) -> Response:
        connection = self._take(place) or await self._connect(place)
        response = await connection.ask(self._signer.sign(place.authority, path, query), sink)
        if not connection.closed:
            self._idle[place].append(connection)
        return response

    def _take(self, place: Place) -> Connection | None:
        """Take an idle connection; where there is none, those to other places make room."""
        idle = self._idle.setdefault(place, [])
        while idle:
            if not (connection := idle.pop()).closed:
                return connection
        for others in self._idle.values():
            while others:
                others.pop().close()
        return None

    async def _connect(self, place: Place) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SILENCE):
            async with self._resolving:  # one asks for all; S3 has several addresses, to be used alike
                until, addresses = self._addresses.get(place, (0.0, []))
                if loop.time() > until:
                    addresses = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
                    self._addresses[place] = loop.time() + KEEP_ADDRESSES, addresses
            family, kind, protocol, _, address = random.choice(addresses)  # noqa: S311 - no secret
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(0)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(connected, address)
                if place.tls:
                    connected = await self._shake_hands(connected, place.host)
                connection = Connection(connected)
            except BaseException:
                connected.close()
                raise
        self._open.add(connection)
        self.connections += 1
        return connection

    async def _shake_hands(self, connected: socket.socket, host: str) -> ssl.SSLSocket:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        tls = self._tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
        loop.add_reader(tls, readable.set)
        try:
            while True:
                readable.clear()
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    await readable.wait()
                else:
                    return tls
        except BaseException:
            tls.close()
            raise
        finally:
            loop.remove_reader(tls)
