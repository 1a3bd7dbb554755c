//! The event: what an invocation is asked for.

use serde::Deserialize;

use crate::error::{Error, Kind};

/// The most objects that one invocation reads at a time.
pub const MAX_CONCURRENCY: usize = 1024;

/// The longest string to search for, in bytes.
pub const MAX_FIND_BYTES: usize = 1024;

/// The name of the only client there is, as events and answers give it.
pub const CLIENT: &str = "aws-sdk-s3";

/// What happens to an invocation when an object cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// End with `ObjectReadFailed`.
    #[default]
    Fail,
    /// Count it in `stats.errors`, leave it out of `result`.
    Continue,
}

/// A checked event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub bucket: String,
    /// Key prefix; empty: the whole bucket.
    pub folder: String,
    /// None: count the objects.
    pub find: Option<String>,
    /// None: the function's own setting.
    pub concurrency: Option<usize>,
    /// Read these, in this order, instead of listing.
    pub keys: Option<Vec<String>>,
    pub on_error: OnError,
}

/// The event as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    s3_bucket_name: Option<String>,
    folder: Option<String>,
    find: Option<String>,
    concurrency: Option<i64>,
    client: Option<String>,
    keys: Option<Vec<String>>,
    on_error: Option<String>,
}

impl Event {
    /// Parses and checks one event.
    ///
    /// # Errors
    /// Always [`Kind::InvalidEvent`]: malformed JSON, an unknown field, a
    /// missing bucket, a value out of range, two settings that contradict each
    /// other.
    pub fn decode(payload: &str) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(Kind::InvalidEvent, format!("event: {message}"));
        if !payload.trim_start().starts_with('{') {
            // serde would take an array for the fields in their order.
            return Err(invalid("must be a JSON object".into()));
        }
        let wire: Wire = serde_json::from_str(payload).map_err(|e| invalid(e.to_string()))?;
        wire.check().map_err(invalid)
    }
}

impl Wire {
    fn check(self) -> Result<Event, String> {
        let bucket = self.s3_bucket_name.unwrap_or_default();
        if bucket.is_empty() {
            return Err("s3_bucket_name is missing".into());
        }
        if bucket.contains(['/', ' ']) && !bucket.starts_with("arn:") {
            return Err(format!(
                "s3_bucket_name {bucket:?}: a name or an access point's ARN, without a path"
            ));
        }
        if let Some(find) = &self.find
            && !(1..=MAX_FIND_BYTES).contains(&find.len())
        {
            return Err(format!(
                "find of {} bytes: must be 1 to {MAX_FIND_BYTES}, or null to count",
                find.len()
            ));
        }
        let concurrency = match self.concurrency {
            None => None,
            Some(n) => match usize::try_from(n) {
                Ok(n) if (1..=MAX_CONCURRENCY).contains(&n) => Some(n),
                _ => return Err(format!("concurrency {n}: must be 1 to {MAX_CONCURRENCY}")),
            },
        };
        if let Some(client) = self.client.filter(|c| !c.is_empty() && c != CLIENT) {
            return Err(format!("client {client:?}: must be {CLIENT:?}"));
        }
        let on_error = match self.on_error.as_deref() {
            None | Some("" | "fail") => OnError::Fail,
            Some("continue") => OnError::Continue,
            Some(other) => {
                return Err(format!(
                    "on_error {other:?}: must be \"fail\" or \"continue\""
                ));
            }
        };
        let folder = self.folder.unwrap_or_default();
        if let Some(keys) = &self.keys {
            if !folder.is_empty() {
                return Err("keys and folder are mutually exclusive".into());
            }
            if keys.iter().any(String::is_empty) {
                return Err("keys contains an empty key".into());
            }
        }
        Ok(Event {
            bucket,
            folder,
            find: self.find,
            concurrency,
            keys: self.keys,
            on_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode() {
        let long = format!(
            r#"{{"s3_bucket_name":"b","find":"{}"}}"#,
            "x".repeat(MAX_FIND_BYTES + 1)
        );
        for (payload, message) in [
            // What is taken: no message.
            (r#"{"s3_bucket_name":"b"}"#, ""), // the least there is
            (
                r#"{"s3_bucket_name":"b","folder":"small/","find":"MyMagicString"}"#, // the published event
                "",
            ),
            (
                r#"{"s3_bucket_name":"b","folder":null,"find":null,"keys":null}"#, // null is left out
                "",
            ),
            (
                r#"{"s3_bucket_name":"b","concurrency":1024,"client":"aws-sdk-s3","on_error":"fail"}"#, // ours
                "",
            ),
            (
                r#"{"s3_bucket_name":"arn:aws:s3:eu-north-1:1:accesspoint/ap"}"#, // an access point
                "",
            ),
            (
                r#"{"s3_bucket_name":"b","keys":["/lead","a b+c%20","é"]}"#, // keys as they are
                "",
            ),
            // What is not.
            ("", "JSON object"),                            // nothing
            (r#"{"s3_bucket_name":"#, "EOF while parsing"), // cut off
            ("[]", "JSON object"),                          // another type
            (r#"["b"]"#, "JSON object"),                    // fields by position
            (r#"{"s3_bucket_name":"b"} {}"#, "trailing"),   // two events
            (
                r#"{"s3_bucket_name":"b","buckets":1}"#,
                "unknown field `buckets`",
            ), // a typing error must show
            ("{}", "s3_bucket_name is missing"),
            (r#"{"s3_bucket_name":""}"#, "s3_bucket_name is missing"),
            (r#"{"s3_bucket_name":"b/folder"}"#, "without a path"),
            (
                r#"{"s3_bucket_name":"b","concurrency":0}"#,
                "must be 1 to 1024",
            ),
            (
                r#"{"s3_bucket_name":"b","concurrency":-1}"#,
                "must be 1 to 1024",
            ),
            (
                r#"{"s3_bucket_name":"b","concurrency":1025}"#,
                "must be 1 to 1024",
            ),
            (
                r#"{"s3_bucket_name":"b","concurrency":"64"}"#,
                "invalid type: string",
            ),
            (
                r#"{"s3_bucket_name":"b","concurrency":1.5}"#,
                "invalid type: floating point",
            ),
            (
                r#"{"s3_bucket_name":"b","client":"lean"}"#,
                r#"client "lean""#,
            ), // another contender's
            (r#"{"s3_bucket_name":"b","find":""}"#, "null to count"),
            (&long, "find of 1025 bytes"),
            (
                r#"{"s3_bucket_name":"b","on_error":"ignore"}"#,
                r#"on_error "ignore""#,
            ),
            (r#"{"s3_bucket_name":"b","keys":[""]}"#, "empty key"),
            (
                r#"{"s3_bucket_name":"b","keys":["a"],"folder":"p"}"#,
                "mutually exclusive",
            ),
        ] {
            match Event::decode(payload) {
                Ok(event) => assert!(message.is_empty(), "{payload}: accepted as {event:?}"),
                Err(error) => {
                    assert_eq!(error.kind, Kind::InvalidEvent, "{payload}");
                    assert!(
                        !message.is_empty() && error.message.contains(message),
                        "{payload}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn decode_keeps_every_value() {
        let event = Event::decode(
            r#"{"s3_bucket_name":"b","folder":"","find":"x","concurrency":3,"keys":["k"],"on_error":"continue"}"#,
        );
        let want = Event {
            bucket: "b".into(),
            folder: String::new(),
            find: Some("x".into()),
            concurrency: Some(3),
            keys: Some(vec!["k".into()]),
            on_error: OnError::Continue,
        };
        assert_eq!(event.unwrap(), want);
    }
}
