//! The case list, and what the cases share.
//!
//! A case is a plain `async fn case(ctx: &Ctx) -> Result<()>`, listed once in its file's `cases!`.

use std::{future::Future, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use transport_core::{Closed, Inbound, Lane, Refusal, Refused, Transport, TransportExt};

use crate::{
    case::{Case, Failure, Result, within},
    ensure,
};

/// Lists the cases of a file: name, clause, needs.
macro_rules! cases {
    ($module:literal: $($case:ident [$clause:literal] $(needs $($need:ident),+)?;)+) => {
        pub(super) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            name: concat!($module, "::", stringify!($case)),
            clause: $clause,
            needs: &[$($($crate::case::Need::$need),+)?],
            run: |ctx| Box::pin($case(ctx)),
        }),+];
    };
}

mod cancel;
mod close;
mod connect;
mod datagram;
mod delivery;
mod faults;
mod migrate;
mod pressure;
mod profile;
mod stats;

/// Every case, in the order of the contract.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        profile::CASES,
        delivery::CASES,
        datagram::CASES,
        pressure::CASES,
        cancel::CASES,
        close::CASES,
        stats::CASES,
        faults::CASES,
        connect::CASES,
        migrate::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Sizes from 1 to `max` where encodings change their minds: WebSocket's length forms, the record and chunk sizes of
/// TLS and SCTP, the packets of usual links, one less and one more of each; the largest two, and `random` others.
pub(crate) fn sizes(max: usize, random: usize, dice: &mut ChaCha8Rng) -> Vec<usize> {
    const EDGES: [usize; 19] = [
        1, 8, 16, 125, 126, 127, 255, 256, 512, 1024, 1200, 1280, 1460, 1472, 1500, 4096, 8192, 16_384,
        65_535,
    ];
    let mut sizes: Vec<usize> = EDGES.iter().flat_map(|&edge| edge - 1..=edge + 1).collect();
    sizes.extend([max - 1, max]);
    sizes.extend((0..random).map(|_| dice.random_range(1..=max)));
    sizes.retain(|size| (1..=max).contains(size));
    sizes
}

/// Makes the message number `index` of `len` bytes: the number, little-endian so that a short message
/// still differs from the next, then a filler that depends on both.
pub(crate) fn payload(index: u64, len: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(len + 8);
    bytes.put_u64_le(index);
    let mut word = index ^ (len as u64) << 40;
    while bytes.len() < len {
        // SplitMix64 (Steele, Lea, Flood 2014): fast, and any change of the input changes the output.
        word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bytes.put_u64(mixed ^ (mixed >> 27));
    }
    bytes.truncate(len);
    bytes.freeze()
}

/// Reads the number of a message of at least 8 bytes and verifies the rest of it.
pub(crate) fn index_of(message: &Bytes) -> Result<u64> {
    ensure!(message.len() >= 8, "a message of {} bytes arrived; none that short was sent", message.len());
    let mut head = [0; 8];
    head.copy_from_slice(&message[..8]);
    let index = u64::from_le_bytes(head);
    ensure!(payload(index, message.len()) == *message, "a message arrived altered ({} bytes)", message.len());
    Ok(index)
}

/// Sends one message, waiting while the lane is full.
pub(crate) async fn send(from: &dyn Transport, lane: Lane, payload: Bytes) -> Result<()> {
    let len = payload.len();
    within(STEP_LIMIT, "sending one message", from.send(lane, payload))
        .await?
        .map_err(|refused| Failure(format!("{lane:?} refused {len} bytes: {}", refused.why)))
}

/// Receives one message.
pub(crate) async fn recv(at: &dyn Transport) -> Result<Inbound> {
    within(STEP_LIMIT, "receiving one message", at.recv())
        .await?
        .map_err(|closed| Failure(format!("the link ended while a message was due: {closed}")))
}

/// Receives one message and compares it.
pub(crate) async fn recv_exactly(at: &dyn Transport, lane: Lane, expected: &Bytes) -> Result<()> {
    let inbound = recv(at).await?;
    ensure!(inbound.lane == lane, "a message sent on {lane:?} arrived on {:?}", inbound.lane);
    if inbound.payload == *expected {
        return Ok(());
    }
    let what = match index_of(&inbound.payload) {
        Ok(index) => format!("message {index} of {} bytes arrived instead", inbound.payload.len()),
        Err(_) => format!("{} unknown bytes arrived instead", inbound.payload.len()),
    };
    Err(Failure(format!("a message of {} bytes was due; {what}", expected.len())))
}

/// Sends messages `first..` of the given sizes on the reliable lane while the other end receives
/// and compares each.
pub(crate) async fn stream(
    from: &dyn Transport,
    to: &dyn Transport,
    first: u64,
    sizes: &[usize],
) -> Result<()> {
    let numbered = || (first..).zip(sizes.iter().copied());
    let sender = async {
        for (index, len) in numbered() {
            send(from, Lane::Reliable, payload(index, len)).await?;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        for (index, len) in numbered() {
            let expected = payload(index, len);
            recv_exactly(to, Lane::Reliable, &expected)
                .await
                .map_err(|failure| Failure(format!("at message {index}: {failure}")))?;
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

/// Listens for `settle` and fails if anything arrives.
pub(crate) async fn stays_quiet(at: &dyn Transport, settle: Duration) -> Result<()> {
    match tokio::time::timeout(settle, at.recv()).await {
        Err(_elapsed) => Ok(()),
        Ok(Ok(inbound)) => Err(Failure(format!(
            "{} bytes arrived on {:?} that were never due",
            inbound.payload.len(),
            inbound.lane
        ))),
        Ok(Err(closed)) => Err(Failure(format!("the link ended by itself: {closed}"))),
    }
}

/// Receives whatever comes until nothing came for `settle` or the link ended.
pub(crate) async fn drain(at: &dyn Transport, settle: Duration) -> Vec<Inbound> {
    let mut all = Vec::new();
    while let Ok(Ok(inbound)) = tokio::time::timeout(settle, at.recv()).await {
        all.push(inbound);
    }
    all
}

/// Receives what is left and returns how the link ended.
pub(crate) async fn end_of(at: &dyn Transport, limit: Duration) -> Result<(Vec<Inbound>, Closed)> {
    let mut rest = Vec::new();
    let everything = async {
        loop {
            match at.recv().await {
                Ok(inbound) => rest.push(inbound),
                Err(closed) => return closed,
            }
        }
    };
    let closed = within(limit, "reporting the end", everything).await?;
    Ok((rest, closed))
}

/// Sends numbered messages of `len` bytes until the lane is full; returns how many went in.
/// `None` if the path took `limit` messages and asked for more.
pub(crate) fn fill(at: &dyn Transport, first: u64, len: usize, limit: u64) -> Result<Option<u64>> {
    for count in 0..limit {
        match at.try_send(Lane::Reliable, payload(first + count, len)) {
            Ok(()) => {}
            Err(Refused { why: Refusal::Full, .. }) => return Ok(Some(count)),
            Err(refused) => return Err(refused.into()),
        }
    }
    Ok(None)
}

/// Sends up to `most` numbered messages, fewer if half the budget waits before; returns how many.
/// So there is room left for what a layer may have to say at the end.
pub(crate) fn put(at: &dyn Transport, most: u64, len: usize) -> Result<u64> {
    let half = at.profile().reliable.queue_bytes.get() / 2;
    let mut sent = 0;
    while sent < most && at.stats().reliable.queued_bytes <= half {
        at.try_send(Lane::Reliable, payload(sent, len))?;
        sent += 1;
    }
    Ok(sent)
}

/// Fills the reliable lane of a stalled path until it stays full: buffers further down take some
/// more whenever their own tasks get to run.
pub(crate) async fn fill_up(at: &dyn Transport, first: u64, len: usize) -> Result<u64> {
    let budget = at.profile().reliable.queue_bytes.get();
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 4 {
        let more = fill(at, first + sent, len, FILL_LIMIT / len as u64 + 1)?;
        let more = more.ok_or_else(|| {
            Failure(format!("a stalled path took {FILL_LIMIT} bytes and never said Full (budget {budget})"))
        })?;
        sent += more;
        quiet = if more == 0 { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(sent)
}

/// Polls once: the answer, if it is there already.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    future.now_or_never()
}

/// How long one step of a healthy link may take; generous, because both ends may share one busy core.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(20);

/// How long a call that must not wait may take: a path that does not move makes one wait for good, and a busy machine may keep
/// any thread from running for a quarter of a second.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// Bytes a layer may add to each message and count as queued: the header and tag of a seal, twice over.
pub(crate) const FRAMING: usize = 64;

/// More than any sane path buffers: a lane that takes this much while stalled is unbounded.
pub(crate) const FILL_LIMIT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_message_carries_its_number_and_any_change_shows() {
        for (index, len) in [(0, 9), (1, 16), (77, 1200), (u64::MAX, 100)] {
            let message = payload(index, len);
            assert_eq!(message.len(), len);
            assert_eq!(index_of(&message).unwrap(), index);
            let mut altered = message.to_vec();
            altered[len - 1] ^= 1;
            assert!(index_of(&altered.into()).is_err());
        }
        assert_ne!(payload(1, 1), payload(2, 1));
    }

    #[test]
    fn each_case_has_a_name_of_its_own_and_a_clause_of_the_contract() {
        let contract = contract();
        let clauses: HashSet<&str> = contract
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|word| word.contains('.'))
            .collect();
        let mut names = HashSet::new();
        for case in all() {
            assert!(names.insert(case.name), "{} is listed twice", case.name);
            for clause in case.clause.split(", ") {
                assert!(
                    clauses.contains(clause),
                    "{} cites {clause}, which is not in the contract",
                    case.name
                );
            }
        }
    }

    #[test]
    fn each_clause_with_a_case_is_cited_and_the_others_are_named_as_such() {
        let cited: HashSet<&str> = all().flat_map(|case| case.clause.split(", ")).collect();
        let contract = contract();
        let bound_without_a_case = ["5.5"];
        for line in contract.lines() {
            let Some(clause) = line.split(' ').next().filter(|word| word.contains('.')) else { continue };
            if clause.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()) {
                let known = cited.contains(clause) || bound_without_a_case.contains(&clause);
                assert!(known, "clause {clause} has no case");
            }
        }
    }

    /// Read when the test runs: the package is built without the repository's documents.
    fn contract() -> String {
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract.md")).unwrap()
    }
}
