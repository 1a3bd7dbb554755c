//! What an invocation has read, and the answer made of it.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::event::CLIENT;

/// The result of a search that no object matched.
const NOT_FOUND: &str = "None";

/// An order-independent checksum of a set of objects: it changes when a key or
/// a body changes, when two bodies are swapped, and when an object is missing
/// or read twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Takes in one object: its key and the CRC-32C of its whole body.
    pub fn add(&mut self, key: &str, body_crc: u32) {
        let key_crc = crc32c::crc32c(key.as_bytes());
        let pair = u64::from(key_crc) << 32 | u64::from(body_crc);
        self.0 = self.0.wrapping_add(mix(pair));
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014). It ties a
/// key to its body: a plain sum would not see two bodies swapped.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// A histogram of durations in constant memory. Buckets are 1/32 of an octave
/// of microseconds wide: a quantile is off by at most 3.2%.
#[derive(Debug)]
struct Latencies {
    count: u32,
    buckets: Vec<u32>,
}

impl Latencies {
    const BUCKETS: usize = 40 * 32;

    fn new() -> Self {
        Self {
            count: 0,
            buckets: vec![0; Self::BUCKETS],
        }
    }

    fn add(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.buckets[Self::bucket(us)] += 1;
    }

    fn bucket(us: u64) -> usize {
        if us < 32 {
            return usize::try_from(us).unwrap_or_default();
        }
        let exp = 58 - us.leading_zeros(); // us >> exp is 32 to 63
        let bucket = u64::from(exp) * 32 + (us >> exp);
        usize::try_from(bucket).map_or(Self::BUCKETS - 1, |p| p.min(Self::BUCKETS - 1))
    }

    /// The middle of a bucket, in microseconds.
    fn middle(bucket: usize) -> f64 {
        let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
        if bucket < 64 {
            return f64::from(bucket);
        }
        (f64::from(32 + bucket % 32) + 0.5) * 2f64.powi((bucket / 32).cast_signed() - 1)
    }

    /// The quantile of this percentage in milliseconds; None under `at_least`
    /// samples.
    fn percentile_ms(&self, percent: u32, at_least: u32) -> Option<f64> {
        if self.count < at_least.max(1) {
            return None;
        }
        let rank = u64::from(self.count - 1) * u64::from(percent) / 100;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|&n| {
            seen += u64::from(n);
            seen > rank
        })?;
        Some(Self::middle(bucket) / 1000.0)
    }
}

/// One entry of the listing: `index` is its place in list order.
#[derive(Debug)]
pub struct Item {
    pub index: usize,
    pub key: String,
}

/// What reading one object gave.
#[derive(Debug)]
pub struct Read {
    pub bytes: u64,
    /// CRC-32C of the body.
    pub crc: u32,
    pub matched: bool,
    /// From the last attempt's start to its first response byte.
    pub first_byte: Duration,
}

/// What was read so far.
#[derive(Debug)]
pub struct Accumulator {
    pub listed: usize,
    pub objects: usize,
    pub failures: usize,
    /// Spent waiting for listing pages.
    pub listing: Duration,
    bytes: u64,
    retries: u32,
    digest: Digest,
    first_byte: Latencies,
    /// The earliest in list order.
    matched: Option<Item>,
    /// The earliest in list order, and why.
    failed: Option<(Item, Error)>,
}

impl Accumulator {
    pub fn new() -> Self {
        Self {
            listed: 0,
            objects: 0,
            failures: 0,
            listing: Duration::ZERO,
            bytes: 0,
            retries: 0,
            digest: Digest::default(),
            first_byte: Latencies::new(),
            matched: None,
            failed: None,
        }
    }

    /// Counts one object in, read or not.
    pub fn add(&mut self, item: Item, retries: u32, outcome: Result<Read, Error>) {
        self.retries += retries;
        match outcome {
            Ok(read) => {
                self.objects += 1;
                self.bytes += read.bytes;
                self.digest.add(&item.key, read.crc);
                self.first_byte.add(read.first_byte);
                if read.matched && self.matched.as_ref().is_none_or(|m| item.index < m.index) {
                    self.matched = Some(item);
                }
            }
            Err(error) => {
                self.failures += 1;
                if self
                    .failed
                    .as_ref()
                    .is_none_or(|(f, _)| item.index < f.index)
                {
                    self.failed = Some((item, error));
                }
            }
        }
    }

    /// The first key that could not be read, and why.
    pub fn failed(&self) -> Option<(&str, &Error)> {
        self.failed
            .as_ref()
            .map(|(item, error)| (item.key.as_str(), error))
    }

    fn result(&self, find: bool) -> String {
        if !find {
            return self.objects.to_string();
        }
        match &self.matched {
            Some(item) => item.key.clone(),
            None => NOT_FOUND.to_owned(),
        }
    }

    /// Makes the answer: `find` says whether a string was searched for.
    pub fn response(&self, find: bool, spent: &Spent) -> Response {
        Response {
            lang: "rust",
            detail: CLIENT,
            result: self.result(find),
            time: (spent.wall.as_secs_f64() * 1000.0).round() / 1000.0,
            stats: Stats {
                objects: self.objects,
                bytes: self.bytes,
                errors: self.failures,
                retries: self.retries,
                connections: spent.connections,
                list_ms: milliseconds(self.listing),
                ttfb_p50_ms: self.first_byte.percentile_ms(50, 1),
                ttfb_p99_ms: self.first_byte.percentile_ms(99, 100),
                cpu_ms: milliseconds(spent.cpu),
                max_rss_mb: spent.max_rss_mb,
                digest: self.digest.to_string(),
                cold: spent.cold,
                concurrency: spent.concurrency,
                client: CLIENT,
            },
        }
    }
}

/// What an invocation took.
#[derive(Debug)]
pub struct Spent {
    pub wall: Duration,
    pub cpu: Duration,
    pub max_rss_mb: f64,
    pub connections: usize,
    pub cold: bool,
    pub concurrency: usize,
}

/// The answer of one invocation.
#[derive(Debug, Serialize)]
pub struct Response {
    lang: &'static str,
    detail: &'static str,
    /// The first matching key in list order, "None", or the count of objects
    /// read.
    result: String,
    /// Seconds from the event to the answer, in whole milliseconds.
    time: f64,
    stats: Stats,
}

/// What one invocation did. Milliseconds have a fraction.
#[derive(Debug, Serialize)]
struct Stats {
    objects: usize,
    bytes: u64,
    errors: usize,
    /// GET attempts beyond the first of each object.
    retries: u32,
    /// Used for the first time during this invocation.
    connections: usize,
    list_ms: f64,
    /// None without objects.
    ttfb_p50_ms: Option<f64>,
    /// None under 100 objects: too few for a percentile.
    ttfb_p99_ms: Option<f64>,
    cpu_ms: f64,
    /// 1 MB = 2^20 bytes.
    max_rss_mb: f64,
    digest: String,
    cold: bool,
    concurrency: usize,
    client: &'static str,
}

fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn digest(pairs: &[(&str, &str)]) -> Digest {
        let mut d = Digest::default();
        for (key, body) in pairs {
            d.add(key, crc32c::crc32c(body.as_bytes()));
        }
        d
    }

    #[test]
    fn digest_sees_every_difference() {
        let base = digest(&[("a", "1"), ("b", "2")]);
        assert_eq!(base.to_string(), "c56e3bf98ebff87a"); // pinned: Go's tests have the same
        for (what, other, same) in [
            ("another order", digest(&[("b", "2"), ("a", "1")]), true),
            ("bodies swapped", digest(&[("a", "2"), ("b", "1")]), false),
            ("one missing", digest(&[("a", "1")]), false),
            (
                "one twice",
                digest(&[("a", "1"), ("b", "2"), ("b", "2")]),
                false,
            ),
            ("another key", digest(&[("a", "1"), ("c", "2")]), false),
            ("another body", digest(&[("a", "1"), ("b", "3")]), false),
        ] {
            assert_eq!(other == base, same, "{what}");
        }
    }

    #[test]
    fn checksum_does_not_depend_on_chunks() {
        assert_eq!(
            crc32c::crc32c_append(crc32c::crc32c(b"ab"), b"c"),
            crc32c::crc32c(b"abc")
        );
    }

    #[test]
    fn percentiles() {
        let mut l = Latencies::new();
        for us in 1..=100_000 {
            l.add(Duration::from_micros(us)); // uniform: 1 µs to 100 ms
        }
        for (percent, want) in [(0, 0.001), (50, 50.0), (99, 99.0), (100, 100.0)] {
            let got = l.percentile_ms(percent, 1).unwrap();
            assert!(
                (want * 0.968..want * 1.032).contains(&got),
                "{percent}%: {got} ms, want {want}"
            );
        }
        l.add(Duration::MAX); // out of range: kept, not a panic
        assert_eq!(l.count, 100_001);
        let mut few = Latencies::new();
        assert_eq!(few.percentile_ms(50, 1), None); // nothing to tell
        few.add(Duration::from_micros(3));
        assert_eq!(few.percentile_ms(50, 1), Some(0.003));
        assert_eq!(few.percentile_ms(99, 100), None); // too few
    }

    /// First in list order, whatever came in first; nothing is dropped.
    #[test]
    fn accumulator() {
        let item = |index: usize| Item {
            index,
            key: format!("k{index}"),
        };
        let read = |matched| {
            Ok(Read {
                bytes: 2,
                crc: 7,
                matched,
                first_byte: Duration::from_millis(1),
            })
        };
        let failure = || Err(Error::new(Kind::ShortBody, "short"));
        let mut t = Accumulator::new();
        assert_eq!(
            (t.result(true), t.result(false)),
            ("None".into(), "0".into())
        );
        for (index, outcome) in [
            (9, read(true)),
            (4, read(true)),
            (5, read(true)),
            (1, read(false)),
            (8, failure()),
            (3, failure()),
        ] {
            t.add(item(index), 1, outcome);
        }
        assert_eq!((t.result(true), t.result(false)), ("k4".into(), "4".into()));
        assert_eq!((t.objects, t.failures, t.bytes, t.retries), (4, 2, 8, 6));
        let (key, error) = t.failed().unwrap();
        assert_eq!((key, &error.kind), ("k3", &Kind::ShortBody));
        let spent = Spent {
            wall: Duration::from_micros(1_234_567),
            cpu: Duration::ZERO,
            max_rss_mb: 1.0,
            connections: 3,
            cold: true,
            concurrency: 2,
        };
        let answer = serde_json::to_value(t.response(true, &spent)).unwrap();
        assert_eq!(answer["time"], 1.235);
        assert_eq!(answer["stats"]["ttfb_p99_ms"], serde_json::Value::Null);
        assert_eq!(answer["stats"]["errors"], 2);
    }
}
