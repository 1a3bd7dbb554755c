"""Lambda's entry point for the managed runtime: handler.handler."""

import os
from typing import Any, Protocol

from fetch.handler import Fetcher


class Context(Protocol):
    """What the runtime tells about an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Give the time until Lambda ends it."""


_fetcher = Fetcher(os.environ)


def handler(event: object, context: Context) -> dict[str, Any]:
    """Answer one event."""
    return _fetcher.handle(event, context.get_remaining_time_in_millis() / 1000)
