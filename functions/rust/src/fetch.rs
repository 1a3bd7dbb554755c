//! One invocation: list, read with a bounded set of tasks, answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::accumulator::{Accumulator, Item, Read, Response, Spent};
use crate::error::{Error, Kind};
use crate::event::{CLIENT, Event, MAX_CONCURRENCY, OnError};
use crate::search::Needle;
use crate::store::{Page, Store};
use crate::usage;

/// What `CONCURRENCY=auto`, the default, means: 16 rounds of latency for 1,000
/// objects.
const AUTO: usize = 64;

/// The memory size that comes with one vCPU; below it the share is linear
/// (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const MB_PER_VCPU: u32 = 1769;

/// What the function is deployed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Objects read at a time, where an event does not say.
    pub concurrency: usize,
    /// The function's memory size; 0: not in Lambda.
    pub memory_mb: u32,
    /// The bucket that events are expected to name; empty: any.
    pub bucket: String,
}

impl Settings {
    /// Reads `CONCURRENCY` ("auto" or a number), `CLIENT`, `BUCKET` and Lambda's
    /// own `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`.
    ///
    /// # Errors
    /// A message that names the variable, its value and what is allowed.
    pub fn read(getenv: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name| getenv(name).filter(|v| !v.is_empty());
        let mut settings = Self {
            concurrency: AUTO,
            memory_mb: 0,
            bucket: get("BUCKET").unwrap_or_default(),
        };
        if let Some(v) = get("CONCURRENCY").filter(|v| v != "auto") {
            settings.concurrency = v
                .parse()
                .ok()
                .filter(|n| (1..=MAX_CONCURRENCY).contains(n))
                .ok_or(format!(
                    "CONCURRENCY={v:?}: must be auto or 1 to {MAX_CONCURRENCY}"
                ))?;
        }
        if let Some(v) = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") {
            settings.memory_mb = v.parse().ok().filter(|&n| n > 0).ok_or(format!(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE={v:?}: must be a number of MB"
            ))?;
        }
        if let Some(v) = get("CLIENT").filter(|v| v != CLIENT) {
            return Err(format!("CLIENT={v:?}: must be {CLIENT:?}"));
        }
        Ok(settings)
    }

    /// How many threads this memory's share of CPU can keep busy.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.memory_mb {
            0 => cores,
            mb => cores.min(mb.div_ceil(MB_PER_VCPU) as usize),
        }
    }
}

/// Answers events: one a process.
#[derive(Debug)]
pub struct Handler {
    settings: Settings,
    store: Store,
    invoked: AtomicBool,
}

impl Handler {
    /// Opens the client and, where the bucket is known, its connections: it is
    /// for INIT, where a small function has a whole vCPU.
    pub async fn open(settings: Settings) -> Self {
        let store = Store::open().await;
        if !settings.bucket.is_empty() {
            store.warm(&settings.bucket, settings.concurrency).await;
        }
        Self {
            settings,
            store,
            invoked: AtomicBool::new(false),
        }
    }

    /// Answers one event, shortly before `deadline` at the latest.
    ///
    /// # Errors
    /// See [`Kind`]: none of an object's failures is dropped.
    pub async fn handle(&self, payload: &str, deadline: SystemTime) -> Result<Response, Error> {
        let (start, cpu, connections) =
            (Instant::now(), usage::cpu_time(), self.store.connections());
        let cold = !self.invoked.swap(true, Ordering::Relaxed);
        let event = Event::decode(payload)?;
        let find = event.find.is_some();
        let concurrency = event.concurrency.unwrap_or(self.settings.concurrency);
        let left = deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        let limit = left.saturating_sub(margin(left, self.settings.memory_mb));

        let mut accumulator = Accumulator::new();
        let on_error = event.on_error;
        let reading = read_all(&self.store, event, concurrency, &mut accumulator);
        let in_time = tokio::time::timeout(limit, reading).await;
        in_time.map_err(|_| {
            Error::new(
                Kind::DeadlineNear,
                format!(
                    "stopped just before the time limit: {} of at least {} objects read; \
                     raise the timeout, the memory or the concurrency",
                    accumulator.objects, accumulator.listed
                ),
            )
        })??;
        if let (OnError::Fail, Some((key, error))) = (on_error, accumulator.failed()) {
            return Err(Error::new(
                Kind::ObjectReadFailed,
                format!(
                    "{} of {} objects failed; first {key:?}: {error}",
                    accumulator.failures, accumulator.listed
                ),
            ));
        }
        #[allow(clippy::cast_precision_loss)] // exact below 2^53 bytes
        let max_rss_mb = usage::max_rss() as f64 / f64::from(1 << 20);
        Ok(accumulator.response(
            find,
            &Spent {
                wall: start.elapsed(),
                cpu: usage::cpu_time().saturating_sub(cpu),
                max_rss_mb,
                connections: self.store.connections() - connections,
                cold,
                concurrency,
            },
        ))
    }
}

/// How long before the time limit to stop, so that an answer can still be sent:
/// a tenth of what is left, at most 1 s, but never less than it takes to wind up
/// on this memory's share of a CPU (100 ms of CPU time, in 200 ms to 1.5 s), and
/// never more than half of what is left.
fn margin(left: Duration, memory_mb: u32) -> Duration {
    let mut wind_up = Duration::from_millis(200);
    if memory_mb > 0 {
        let share = Duration::from_millis(100) * MB_PER_VCPU / memory_mb;
        wind_up = wind_up.max(share.min(Duration::from_millis(1500)));
    }
    (left / 10)
        .min(Duration::from_secs(1))
        .max(wind_up)
        .min(left / 2)
}

/// Lists and reads everything that the event asks for, `concurrency` objects at
/// a time. Each read is a task of its own, so that where there is more than one
/// core all of them search; dropping the set, as an error or the time limit
/// does, ends every one.
async fn read_all(
    store: &Store,
    event: Event,
    concurrency: usize,
    accumulator: &mut Accumulator,
) -> Result<(), Error> {
    let bucket: Arc<str> = event.bucket.into();
    let needle = event
        .find
        .as_deref()
        .map(|find| Arc::new(Needle::new(find)));
    // One page may wait: it is listed while the one before it is read, and
    // memory stays the same for any number of objects.
    let (sender, mut pages) = mpsc::channel(1);
    let mut lister = JoinSet::new();
    let (from, of, folder) = (store.clone(), Arc::clone(&bucket), event.folder);
    lister.spawn(async move {
        match event.keys {
            Some(keys) => {
                let page = Page {
                    keys,
                    waited: Duration::ZERO,
                };
                sender.send(page).await.ok(); // unless nobody wants it any more
                Ok(())
            }
            None => from.list(&of, &folder, &sender).await,
        }
    });

    let mut reads: JoinSet<(Item, u32, Result<Read, Error>)> = JoinSet::new();
    let mut page = Vec::new().into_iter();
    let mut next = 0;
    let mut more = true;
    loop {
        while reads.len() < concurrency
            && let Some(key) = page.next()
        {
            let item = Item { index: next, key };
            next += 1;
            let (store, bucket, needle) = (store.clone(), Arc::clone(&bucket), needle.clone());
            reads.spawn(async move {
                let (retries, outcome) = store.get(&bucket, &item.key, needle.as_deref()).await;
                (item, retries, outcome)
            });
        }
        tokio::select! {
            biased;
            received = pages.recv(), if more && page.len() == 0 => {
                if let Some(Page { keys, waited }) = received {
                    accumulator.listed += keys.len();
                    accumulator.listing += waited;
                    page = keys.into_iter();
                } else {
                    more = false;
                    while let Some(listing) = lister.join_next().await {
                        joined(listing)?.map_err(list_failed)?;
                    }
                }
            }
            Some(done) = reads.join_next() => {
                let (item, retries, outcome) = joined(done)?;
                if let Err(error) = &outcome && error.kind == Kind::NoSuchBucket {
                    return Err(error.clone()); // so will all the others
                }
                accumulator.add(item, retries, outcome);
            }
            else => return Ok(()),
        }
    }
}

/// The result of a task, which nobody cancels.
fn joined<T>(result: Result<T, JoinError>) -> Result<T, Error> {
    result.map_err(|e| Error::new(Kind::Other("TaskFailed".into()), e.to_string()))
}

/// A listing's error: one that says what is wrong with the bucket keeps its
/// name.
fn list_failed(error: Error) -> Error {
    match error.kind {
        Kind::NoSuchBucket | Kind::AccessDenied => error,
        _ => Error::new(Kind::ListFailed, error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let read = |vars: &[(&str, &str)]| {
            Settings::read(|name| {
                vars.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            })
        };
        let all = read(&[
            ("CONCURRENCY", "7"),
            ("CLIENT", CLIENT),
            ("BUCKET", "b"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ]);
        assert_eq!(
            all,
            Ok(Settings {
                concurrency: 7,
                memory_mb: 128,
                bucket: "b".into()
            })
        );
        assert_eq!(all.unwrap().threads(), 1); // a fourteenth of a core
        let none = Settings {
            concurrency: AUTO,
            memory_mb: 0,
            bucket: String::new(),
        };
        for vars in [
            &[][..],
            &[("CONCURRENCY", "auto")],
            &[("CONCURRENCY", ""), ("CLIENT", "")],
        ] {
            assert_eq!(read(vars), Ok(none.clone()), "{vars:?}");
        }
        for (name, value) in [
            ("CONCURRENCY", "0"),                     // below the range
            ("CONCURRENCY", "1025"),                  // above it
            ("CONCURRENCY", "many"),                  // not a number
            ("CLIENT", "lean"),                       // another contender's
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"), // not a size
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(
                error.starts_with(&format!("{name}={value:?}: must be ")),
                "{error}"
            );
        }
    }

    #[test]
    fn margins() {
        let ms = Duration::from_millis;
        for (left, memory_mb, want) in [
            (ms(300_000), 1769, ms(1000)), // a second at most
            (ms(5000), 1769, ms(500)),     // a tenth
            (ms(1500), 1769, ms(200)),     // what winding up takes
            (ms(10_000), 128, ms(1382)),   // on a small share: 100 ms of CPU
            (ms(1000), 128, ms(500)),      // half of it at most
            (ms(0), 128, ms(0)),           // too late already
        ] {
            assert_eq!(
                margin(left, memory_mb).as_millis(),
                want.as_millis(),
                "{left:?} at {memory_mb} MB"
            );
        }
    }

    #[test]
    fn listing_errors() {
        for (kind, want) in [
            (Kind::NoSuchBucket, Kind::NoSuchBucket),
            (Kind::AccessDenied, Kind::AccessDenied),
            (Kind::Other("InternalError".into()), Kind::ListFailed),
        ] {
            assert_eq!(list_failed(Error::new(kind, "list s3://b/")).kind, want);
        }
    }
}
