//! Errors with a name that a caller can act on.

use std::fmt;

use lambda_runtime::Diagnostic;

/// What an invocation, or the read of one object, can end with. The name is
/// Lambda's `errorType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The event is malformed, or a value is out of range.
    InvalidEvent,
    /// The bucket does not exist.
    NoSuchBucket,
    /// Refused: role, bucket policy or signature.
    AccessDenied,
    /// Listing failed for another reason.
    ListFailed,
    /// At least one object could not be read whole.
    ObjectReadFailed,
    /// Stopped shortly before the function's time limit.
    DeadlineNear,
    /// A body ended before its `Content-Length`, past every retry.
    ShortBody,
    /// What S3 called it, or what kept the request from reaching S3.
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            named => fmt::Debug::fmt(named, f),
        }
    }
}

/// An error: its name, and what was tried, on what.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.kind.to_string(),
            error_message: error.message,
        }
    }
}
