"""Digest, search, latencies and totals."""

import itertools

import pytest
from google_crc32c import value as crc32c

from fetch.answer import Body, Latencies, Total, fingerprint
from fetch.errors import ShortBody


def digest(*pairs: tuple[str, bytes]) -> int:
    return sum(fingerprint(key, crc32c(body)) for key, body in pairs) % (1 << 64)


BASE = (("a", b"1"), ("b", b"2"))


def test_digest_is_gos() -> None:
    assert f"{digest(*BASE):016x}" == "c56e3bf98ebff87a"  # pinned: Go's tests have the same


@pytest.mark.parametrize(
    ("what", "pairs", "same"),
    [
        ("another order", (("b", b"2"), ("a", b"1")), True),
        ("bodies swapped", (("a", b"2"), ("b", b"1")), False),
        ("one missing", (("a", b"1"),), False),
        ("one twice", (*BASE, ("b", b"2")), False),
        ("another key", (("a", b"1"), ("c", b"2")), False),
        ("another body", (("a", b"1"), ("b", b"3")), False),
    ],
)
def test_digest_sees_every_difference(what: str, pairs: tuple[tuple[str, bytes], ...], *, same: bool) -> None:
    assert (digest(*pairs) == digest(*BASE)) == same, what


@pytest.mark.parametrize(
    ("body", "needle", "found"),
    [
        (b"xxMyMagicxx", b"MyMagic", True),
        (b"MyMagic", b"MyMagic", True),  # nothing else
        (b"MyMagi", b"MyMagic", False),  # nearly
        (b"MyMyMagic", b"MyMagic", True),  # a false start
        (b"MyMagMagic", b"MyMagic", False),  # two halves that do not meet
        (b"xxx", b"y", False),  # one byte: no tail is kept
        (b"xxy", b"y", True),
        (b"", b"y", False),
    ],
)
def test_every_border_between_chunks(body: bytes, needle: bytes, *, found: bool) -> None:
    for first, second in itertools.combinations_with_replacement(range(len(body) + 1), 2):
        b = Body(needle)
        for chunk in (body[:first], body[first:second], body[second:]):
            b.write(chunk)
        assert (b.found, b.size, b.crc) == (found, len(body), crc32c(body)), (first, second)


def test_search_keeps_less_than_the_needle() -> None:
    body = Body(b"needle")
    for byte in b"xneedlneedlxx" * 100:
        body.write(bytes([byte]))
        assert len(body._tail) < len(b"needle")  # noqa: SLF001 - memory is what is bounded
    assert not body.found


def test_reset_forgets() -> None:
    body = Body(b"ab")
    body.write(b"ab")
    body.reset()
    body.write(b"b")
    assert (body.found, body.size, body.crc) == (False, 1, crc32c(b"b"))


def test_percentiles() -> None:
    latencies = Latencies()
    for us in range(1, 100_001):
        latencies.add(us / 1e6)  # uniform: 1 µs to 100 ms
    for percent, want in [(0, 0.001), (50, 50.0), (99, 99.0), (100, 100.0)]:
        assert latencies.percentile_ms(percent, 1) == pytest.approx(want, rel=0.032)
    few = Latencies()
    assert few.percentile_ms(50, 1) is None  # nothing to tell
    few.add(3.5e-6)
    assert few.percentile_ms(50, 1) == 0.003
    assert few.percentile_ms(99, 100) is None  # too few


def test_total_is_in_list_order() -> None:
    total, body = Total(), Body(b"x")
    assert (total.result(searched=True), total.result(searched=False)) == ("None", "0")
    body.write(b"x")
    for index in (9, 4, 5):
        total.add(index, f"k{index}", body, 0.001)
    for index in (8, 3):
        total.fail(index, f"k{index}", ShortBody("short"))
    assert (total.result(searched=True), total.result(searched=False)) == ("k4", "3")
    assert (total.objects, total.size, total.errors) == (3, 3, 2)
    assert total.failure
    assert total.failure[:2] == (3, "k3")
