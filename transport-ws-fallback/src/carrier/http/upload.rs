//! What is sent, in numbered requests: each until it was answered, then the next.

use std::io;

use beach_lifeguard_client::stream::{CarrierId, MAX_UPLOAD_BYTES};
use beach_outbound::http::StatusCode;
use bytes::Bytes;

use super::{error::is_passing, exchange::Requests};
use crate::runtime::{Duration, now, sleep, timeout};

/// Uploads to one carrier.
pub(super) struct Uploader {
    requests: Requests,
    /// What stands before the relay's own paths.
    prefix: String,
    carrier: CarrierId,
    number: u64,
    /// Bytes of the next upload at most, and of any.
    size: usize,
    most: usize,
}

/// What an answer says.
enum Verdict {
    /// Not this time.
    Again(StatusCode),
    /// Not ever.
    Refused(StatusCode),
    Taken,
}

impl Uploader {
    pub(super) fn new(requests: Requests, prefix: String, carrier: CarrierId, upload_bytes: u32) -> Self {
        let most = (upload_bytes as usize).min(MAX_UPLOAD_BYTES);
        Self { requests, prefix, carrier, number: 1, size: FIRST_SIZE.min(most), most }
    }

    /// How much the next upload may hold.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Uploads `body`: repeated under the same number until it was answered, so the relay has it once.
    ///
    /// # Errors
    ///
    /// The carrier has ended, or the relay cannot be reached for long.
    pub(super) async fn send(mut self: Box<Self>, body: Bytes) -> io::Result<Box<Self>> {
        let (begun, full) = (now(), body.len() == self.size);
        let mut pause = Duration::ZERO;
        loop {
            let failure = match timeout(ANSWER, self.attempt(body.clone())).await {
                Ok(Ok(Verdict::Taken)) => break,
                Ok(Ok(Verdict::Refused(status))) => {
                    return Err(io::Error::other(format!("an upload was answered with HTTP {status}")));
                }
                Ok(Ok(Verdict::Again(status))) => {
                    io::Error::other(format!("an upload was answered with HTTP {status}"))
                }
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if begun.elapsed() >= PATIENCE {
                return Err(failure);
            }
            // The connection may just have been closed for being idle: the first repetition comes at once.
            sleep(pause).await;
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
        self.number += 1;
        self.fit(begun.elapsed(), full);
        Ok(self)
    }

    /// Adapts the size to how fast the path takes it: on a narrow one a key must not wait behind much.
    fn fit(&mut self, took: Duration, full: bool) {
        if took > SLOW {
            self.size = (self.size / 2).max(LEAST_SIZE.min(self.most));
        } else if took < QUICK && full {
            self.size = (self.size * 2).min(self.most);
        }
    }

    async fn attempt(&mut self, body: Bytes) -> io::Result<Verdict> {
        let path = format!("{}{}", self.prefix, self.carrier.upload_path(self.number));
        let status = self.requests.post(&path, body).await?;
        Ok(match status.as_u16() {
            204 => Verdict::Taken,
            passing if is_passing(passing) => Verdict::Again(status),
            _ => Verdict::Refused(status),
        })
    }
}

/// Bytes of the first upload, until the path has shown what it takes: a relay waits 10 s for one.
const FIRST_SIZE: usize = 4 << 10;
/// Never less.
const LEAST_SIZE: usize = 2 << 10;
/// An upload that was answered sooner may be larger next time …
const QUICK: Duration = Duration::from_millis(500);
/// … and one that took longer must be smaller.
const SLOW: Duration = Duration::from_secs(2);
/// For one answer: the relay answers within 10 s, also whom it holds.
const ANSWER: Duration = Duration::from_secs(15);
/// For one upload in all. A relay cuts whom it has held for 30 s.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
