//! S3, through aws-sdk-s3: one client a process.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_s3::config::{ConfigBag, Intercept, ResponseChecksumValidation, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::types::EncodingType;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::accumulator::Read;
use crate::error::{Error, Kind};
use crate::search::Needle;

/// How often one request is tried, and one body that breaks off: the SDK's own
/// retries end with the response's head.
const ATTEMPTS: u32 = 10;

/// How long warming up may take: Lambda ends INIT after 10 s.
const WARM_WITHIN: Duration = Duration::from_secs(2);

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    pub keys: Vec<String>,
    /// How long S3 took for it.
    pub waited: Duration,
}

/// The S3 client of this process.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    connections: Connections,
}

impl Store {
    /// Reads the process's AWS configuration and makes the client. It opens no
    /// connection.
    pub async fn open() -> Self {
        let shared = aws_config::load_defaults(BehaviorVersion::latest()).await;
        let config = aws_sdk_s3::config::Builder::from(&shared)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(Duration::from_millis(50)),
            )
            // The default budget is for one caller; a thousand reads of which
            // some are throttled use it up.
            .retry_partition(
                RetryPartition::custom("fetch")
                    .token_bucket(TokenBucket::unlimited())
                    .build(),
            )
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            client: Client::from_conf(config),
            connections: Connections::default(),
        }
    }

    /// Opens that many connections to the bucket's host, and does whatever else
    /// the first request would wait for. What cannot be done ahead is done
    /// later: an error here will come back, with a name, in the first event.
    pub async fn warm(&self, bucket: &str, connections: usize) {
        let mut heads = JoinSet::new();
        for _ in 0..connections {
            let head = self.client.head_bucket().bucket(bucket);
            let watch = Watch::new(&self.connections);
            heads.spawn(async move {
                head.customize()
                    .interceptor(Watcher(watch))
                    .send()
                    .await
                    .is_ok()
            });
        }
        let _ = tokio::time::timeout(WARM_WITHIN, heads.join_all()).await;
    }

    /// Counts the connections used so far.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Sends the pages under a prefix, in S3's order, until there are no more
    /// or nobody receives.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessDenied`, or what S3 calls it.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        pages: &mpsc::Sender<Page>,
    ) -> Result<(), Error> {
        let tried = || format!("list s3://{bucket}/{prefix}");
        let mut found = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .encoding_type(EncodingType::Url) // XML 1.0 cannot carry some keys
            .into_paginator()
            .send();
        let mut asked = Instant::now();
        while let Some(page) = found.next().await {
            let waited = asked.elapsed();
            let page = page.map_err(|e| named(&e, &tried()))?;
            let encoded = page.encoding_type == Some(EncodingType::Url);
            let keys = page
                .contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|object| object.key)
                .map(|key| if encoded { decode_key(&key) } else { Ok(key) })
                .collect::<Result<_, _>>()
                .map_err(|e| Error::new(Kind::ListFailed, format!("{}: {e}", tried())))?;
            if pages.send(Page { keys, waited }).await.is_err() {
                return Ok(());
            }
            asked = Instant::now();
        }
        Ok(())
    }

    /// Reads one body whole, again from the start where it broke off. Also
    /// gives how many attempts there were beyond the first.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessDenied`, `ShortBody`, or what S3 calls it.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        needle: Option<&Needle>,
    ) -> (u32, Result<Read, Error>) {
        let watch = Watch::new(&self.connections);
        let mut attempt = 1;
        loop {
            let outcome = self.get_once(bucket, key, needle, &watch).await;
            match outcome {
                Err(Error {
                    kind: Kind::ShortBody,
                    ..
                }) if attempt < ATTEMPTS => attempt += 1,
                outcome => {
                    return (
                        watch.tries.load(Ordering::Relaxed).saturating_sub(1),
                        outcome,
                    );
                }
            }
        }
    }

    async fn get_once(
        &self,
        bucket: &str,
        key: &str,
        needle: Option<&Needle>,
        watch: &Arc<Watch>,
    ) -> Result<Read, Error> {
        let tried = || format!("get s3://{bucket}/{key}");
        let output = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .customize()
            .interceptor(Watcher(Arc::clone(watch)))
            .send()
            .await
            .map_err(|e| named(&e, &tried()))?;
        let length = output.content_length;
        let mut body = output.body;
        let mut search = needle.map(Needle::search);
        let (mut crc, mut bytes) = (0, 0);
        let broke_off = |bytes: u64, why: &dyn std::fmt::Display| {
            Error::new(
                Kind::ShortBody,
                format!("{}: body broke off after {bytes} bytes: {why}", tried()),
            )
        };
        while let Some(chunk) = body
            .try_next()
            .await
            .map_err(|e| broke_off(bytes, &DisplayErrorContext(e)))?
        {
            crc = crc32c::crc32c_append(crc, &chunk);
            bytes += chunk.len() as u64;
            if let Some(search) = &mut search {
                search.write(&chunk);
            }
        }
        if length.is_some_and(|l| u64::try_from(l) != Ok(bytes)) {
            return Err(broke_off(bytes, &"shorter than its length"));
        }
        Ok(Read {
            bytes,
            crc,
            matched: search.is_some_and(|s| s.found()),
            first_byte: Duration::from_nanos(watch.first_byte.load(Ordering::Relaxed)),
        })
    }
}

/// A key as a listing with encoding type url gives it.
fn decode_key(encoded: &str) -> Result<String, std::str::Utf8Error> {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(Into::into)
}

/// Gives an SDK error its name.
fn named<E>(error: &E, tried: &str) -> Error
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let kind = match error.code() {
        Some("NoSuchBucket") => Kind::NoSuchBucket,
        Some(
            "AccessDenied"
            | "AllAccessDisabled"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "Forbidden",
        ) => Kind::AccessDenied,
        Some(code) => Kind::Other(code.to_owned()),
        None => Kind::Other("RequestFailed".to_owned()),
    };
    Error::new(kind, format!("{tried}: {}", DisplayErrorContext(error)))
}

/// The connections that this process has used, by their local addresses.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<HashSet<SocketAddr>>>);

impl Connections {
    fn seen(&self, local: SocketAddr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(local);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What is seen of the attempts at one object.
#[derive(Debug)]
struct Watch {
    begun: Instant,
    connections: Connections,
    tries: AtomicU32,
    /// Nanoseconds from `begun` to the last attempt.
    started: AtomicU64,
    /// Nanoseconds from there to the first response byte.
    first_byte: AtomicU64,
}

impl Watch {
    fn new(connections: &Connections) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            connections: connections.clone(),
            tries: AtomicU32::new(0),
            started: AtomicU64::new(0),
            first_byte: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Writes down what one SDK call does.
#[derive(Debug)]
struct Watcher(Arc<Watch>);

impl Intercept for Watcher {
    fn name(&self) -> &'static str {
        "Watcher"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.tries.fetch_add(1, Ordering::Relaxed);
        self.0.started.store(self.0.now(), Ordering::Relaxed);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let started = self.0.started.load(Ordering::Relaxed);
        self.0
            .first_byte
            .store(self.0.now() - started, Ordering::Relaxed);
        let connection = bag
            .load::<CaptureSmithyConnection>()
            .and_then(CaptureSmithyConnection::get);
        if let Some(local) = connection.and_then(|c| c.local_addr()) {
            self.0.connections.seen(local);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (encoded, want) in [
            ("a/b", "a/b"),                      // as most are
            ("a+b", "a b"),                      // a space
            ("a%2Bb", "a+b"),                    // a plus
            ("%C3%BC/%E6%97%A5", "ü/日"),        // more than one byte
            ("percent%2541", "percent%41"),      // decoded once, not twice
            ("new%0Aline%01", "new\nline\u{1}"), // what XML cannot carry
        ] {
            assert_eq!(decode_key(encoded).as_deref(), Ok(want), "{encoded}");
        }
        assert!(decode_key("%FF").is_err()); // no key of S3's: they are UTF-8
    }
}
