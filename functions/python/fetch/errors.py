"""Errors with a name that a caller can act on: Lambda's `errorType` is the class's name."""


class FetchError(Exception):
    """What an invocation ends with. Its message says what was tried, on what."""


class InvalidEvent(FetchError):
    """The event is malformed, or a value is out of range."""


class NoSuchBucket(FetchError):
    """The bucket does not exist."""


class AccessDenied(FetchError):
    """Refused: role, bucket policy or signature."""


class ListFailed(FetchError):
    """Listing failed for another reason."""


class ObjectReadFailed(FetchError):
    """At least one object could not be read whole."""


class DeadlineNear(FetchError):
    """Stopped shortly before the function's time limit."""


class S3Error(FetchError):
    """S3's refusal under another name than the above, or what kept the request from reaching S3."""


class ShortBody(S3Error):
    """A body ended before its length, past every retry."""


_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
}


def named(code: str, message: str) -> FetchError:
    """Give S3's error code its class."""
    if code == "NoSuchBucket":
        return NoSuchBucket(message)
    if code in _DENIED:
        return AccessDenied(message)
    return S3Error(message)
