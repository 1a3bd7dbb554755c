"""What an event may say."""

import json
from typing import Any

import pytest

from fetch.errors import InvalidEvent
from fetch.event import MAX_FIND_BYTES, Event

ACCEPTED = [
    ("the least there is", {}, Event(s3_bucket_name="b")),
    ("the published one", {"folder": "small/", "find": "x"}, Event(s3_bucket_name="b", folder="small/", find="x")),
    ("null is left out", dict.fromkeys(("folder", "find", "keys", "client", "concurrency", "on_error")), Event(s3_bucket_name="b")),
    ("the most workers", {"concurrency": 1024}, Event(s3_bucket_name="b", concurrency=1024)),
    ("the longest string, in bytes", {"find": "ü" * 512}, Event(s3_bucket_name="b", find="ü" * 512)),
    ("keys", {"keys": ["b", "a", "b"]}, Event(s3_bucket_name="b", keys=["b", "a", "b"])),
    ("no key", {"keys": [], "folder": ""}, Event(s3_bucket_name="b", keys=[])),
    ("an access point", {"s3_bucket_name": "arn:aws:s3:r:1:accesspoint/a"}, Event(s3_bucket_name="arn:aws:s3:r:1:accesspoint/a")),
]

REFUSED = [
    ({"s3_bucket_name": ""}, "s3_bucket_name is missing"),
    ({"s3_bucket_name": None}, "s3_bucket_name is missing"),
    ({"s3_bucket_name": 7}, "s3_bucket_name must be of type str"),
    ({"s3_bucket_name": "b/path"}, 's3_bucket_name "b/path": a name'),
    ({"buckets": 1}, 'unknown field "buckets"'),
    ({"find": ""}, "find of 0 bytes"),
    ({"find": "x" * (MAX_FIND_BYTES + 1)}, "find of 1025 bytes"),
    ({"find": "ü" * 513}, "find of 1026 bytes"),  # 513 characters
    ({"find": {}}, "find must be of type str"),
    ({"concurrency": 0}, "concurrency 0: must be 1 to 1024"),
    ({"concurrency": 1025}, "concurrency 1025"),
    ({"concurrency": "64"}, "concurrency must be of type int"),
    ({"concurrency": 1.5}, "concurrency must be of type int"),
    ({"concurrency": True}, "concurrency must be of type int"),  # which is an int, in Python
    ({"on_error": "ignore"}, 'on_error "ignore"'),
    ({"keys": [""]}, "empty key"),
    ({"keys": [7]}, "no key"),
    ({"keys": "a"}, "keys must be of type list"),
    ({"keys": ["a"], "folder": "p/"}, "mutually exclusive"),
    ({"keys": ["\ud800"]}, "surrogate"),  # JSON can say it, UTF-8 cannot
    ({"find": "\udfff"}, "surrogate"),
]


@pytest.mark.parametrize(("what", "more", "want"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_accepted(what: str, more: dict[str, Any], want: Event) -> None:
    assert Event.decode({"s3_bucket_name": "b", **more}) == want, what


@pytest.mark.parametrize(("more", "message"), REFUSED, ids=[json.dumps(row[0])[:40] for row in REFUSED])
def test_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Event.decode({"s3_bucket_name": "b", **more})
    assert message in str(refused.value)


@pytest.mark.parametrize("payload", [[], "text", 7, None, {}])
def test_not_an_event(payload: object) -> None:
    with pytest.raises(InvalidEvent):
        Event.decode(payload)
