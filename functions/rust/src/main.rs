//! The Rust contender: Lambda's entry point (provided.al2023).
//!
//! `CONCURRENCY` sets what an event leaves open; `BUCKET` names the bucket whose
//! connections are opened in INIT.

mod accumulator;
mod error;
mod event;
mod fetch;
mod search;
mod store;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::runtime::{Builder, Runtime};

use crate::fetch::{Handler, Settings};

fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(message) => {
            return fail(
                &message,
                "see its environment variables CLIENT and CONCURRENCY",
            );
        }
    };
    let served = runtime(settings.threads()).and_then(|runtime| runtime.block_on(serve(settings)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(
            &error.to_string(),
            "start it in Lambda, or with fanout sandbox --contender",
        ),
    }
}

/// Tells what is wrong, and what to do.
fn fail(message: &str, hint: &str) -> ExitCode {
    eprintln!("error: start the function: {message}\nhint: {hint}");
    ExitCode::FAILURE
}

/// A single thread saves the hand-over between threads where there is no second
/// core to use.
fn runtime(threads: usize) -> Result<Runtime, lambda_runtime::Error> {
    let mut builder = match threads {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(threads.max(1))
        .enable_all()
        .build()?)
}

async fn serve(settings: Settings) -> Result<(), lambda_runtime::Error> {
    let handler = Arc::new(Handler::open(settings).await);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let handler = Arc::clone(&handler);
        async move {
            handler
                .handle(event.payload.get(), event.context.deadline())
                .await
        }
    }))
    .await
}
