"""The event: what an invocation is asked for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from fetch.errors import InvalidEvent

MAX_CONCURRENCY = 1024  # objects that one invocation reads at a time, at most
MAX_FIND_BYTES = 1024  # of the string to search for

_TYPES: dict[str, type] = {
    "s3_bucket_name": str,
    "folder": str,
    "find": str,
    "concurrency": int,
    "client": str,
    "keys": list,
    "on_error": str,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A checked event. What is None or empty is left to the function's own setting."""

    s3_bucket_name: str = ""
    folder: str = ""  # key prefix; empty: the whole bucket
    find: str | None = None  # None: count the objects
    concurrency: int | None = None
    client: str = ""
    keys: list[str] | None = None  # read these, in this order, instead of listing
    on_error: str = ""  # "fail", the default, or "continue": count what cannot be read

    @classmethod
    def decode(cls, payload: object) -> Self:
        """Check one event, parsed from JSON; null is the same as left out.

        Raises InvalidEvent for an unknown field, a missing bucket, a value out of
        range, and two settings that contradict each other.
        """
        if not isinstance(payload, dict):
            raise InvalidEvent("event: must be a JSON object")
        values: dict[str, Any] = {name: value for name, value in payload.items() if value is not None}
        for name in payload:
            if name not in _TYPES:
                raise InvalidEvent(f"event: unknown field {quoted(name)}")
        for name, value in values.items():
            if type(value) is not _TYPES[name]:  # exactly: True is an int, too
                raise InvalidEvent(f"event: {name} must be of type {_TYPES[name].__name__}")
        event = cls(**values)
        for problem in event._problems():
            raise InvalidEvent(f"event: {problem}")
        return event

    def _problems(self) -> Iterator[str]:
        bucket = self.s3_bucket_name
        if not bucket:
            yield "s3_bucket_name is missing"
        if set(bucket) & set("/ ") and not bucket.startswith("arn:"):
            yield f"s3_bucket_name {quoted(bucket)}: a name or an access point's ARN, without a path"
        keys = [] if self.keys is None else self.keys
        if not all(isinstance(key, str) and key for key in keys):
            yield "keys contains an empty key, or what is no key"
        if self.keys is not None and self.folder:
            yield "keys and folder are mutually exclusive"
        if not all(_is_unicode(text) for text in (bucket, self.folder, self.find or "", *keys)):
            yield "half of a surrogate pair is no text"
        elif self.find is not None and not 1 <= len(self.find.encode()) <= MAX_FIND_BYTES:
            yield f"find of {len(self.find.encode())} bytes: must be 1 to {MAX_FIND_BYTES}, or null to count"
        if self.concurrency is not None and not 1 <= self.concurrency <= MAX_CONCURRENCY:
            yield f"concurrency {self.concurrency}: must be 1 to {MAX_CONCURRENCY}"
        if self.on_error not in ("", "fail", "continue"):
            yield f'on_error {quoted(self.on_error)}: must be "fail" or "continue"'


def quoted(text: str) -> str:
    """Quote a text for a message, as JSON does."""
    return json.dumps(text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
