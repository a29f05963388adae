//! Waiting for a condition instead of a time.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::process::POLL;

/// Waits until `condition` holds, at most for `limit`; says whether it does.
pub async fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    until_async(limit, || std::future::ready(condition())).await
}

/// As [`until`], for a condition that must be asked for.
pub async fn until_async<F: Future<Output = bool>>(
    limit: Duration,
    mut condition: impl FnMut() -> F,
) -> bool {
    let began = Instant::now();
    loop {
        if condition().await {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}
