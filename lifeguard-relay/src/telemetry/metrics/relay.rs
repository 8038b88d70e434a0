//! What the relay plane counts.

use std::time::Duration;

use beach_lifeguard_client::CloseCode;

use super::{Carrier, Metrics, family::Id, steps::Tally};

impl Metrics {
    /// Messages of these `sizes` in bytes went to `copies` peers each. Counted together: a message of a run costs no
    /// atomic of its own.
    pub fn forwarded(&self, sizes: impl IntoIterator<Item = usize>, copies: usize) {
        let (mut of_sizes, mut of_copies) = (Tally::default(), Tally::default());
        let (mut messages, mut bytes, copies) = (0, 0, copies as u64);
        for size in sizes {
            self.message_bytes.note(&mut of_sizes, size as u64, 1);
            messages += 1;
            bytes += size as u64;
        }
        self.fanout.note(&mut of_copies, copies, messages);
        self.message_bytes.add(&of_sizes);
        self.fanout.add(&of_copies);
        self.add(Id::MessagesForwarded, &[], messages * copies);
        self.add(Id::BytesForwarded, &[], bytes * copies);
    }

    /// A frame was addressed to a peer that has left.
    pub fn frame_undeliverable(&self) {
        self.add(Id::FrameUndeliverable, &[], 1);
    }

    /// A read-only peer wrote.
    pub fn read_only_dropped(&self) {
        self.add(Id::ReadOnlyDropped, &[], 1);
    }

    /// Datagrams were evicted.
    pub fn datagrams_evicted(&self, count: u64) {
        self.add(Id::FlowControlDrops, &[], count);
    }

    /// A peer was told that it sends too much.
    pub fn rate_limited(&self) {
        self.add(Id::RateLimited, &[], 1);
    }

    /// A hello was accepted. `version` is `1` or `2`.
    pub fn handshake_succeeded(&self, version: &'static str, took: Duration, telemetry: bool) {
        self.add(Id::HandshakesSuccess, &[version], 1);
        self.add(Id::TelemetryOptIn, &[], u64::from(telemetry));
        self.handshake_ms.observe(took.as_secs_f64() * 1e3);
    }

    /// A hello was refused, for a reason of the closed set; another counts as `other`.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.add(Id::HandshakesFailure, &[reason], 1);
    }

    /// A token was refused, for a reason of the closed set; another counts as `other`.
    pub fn token_refused(&self, reason: &'static str) {
        self.add(Id::TokenFailure, &[reason], 1);
    }

    /// Somebody came with a spare token; both labels are of the documented sets.
    pub fn spare_token(&self, kind: &'static str, outcome: &'static str) {
        self.add(Id::SpareTokens, &[kind, outcome], 1);
    }

    /// A socket is served.
    pub fn connection_opened(&self, carrier: Carrier) {
        self.add(Id::ConnectionsTotal, &[], 1);
        self.add(Id::ConnectionsActive, &[], 1);
        self.add(Id::CarriersActive, &[carrier.label()], 1);
    }

    /// A socket ended.
    pub fn connection_closed(&self, carrier: Carrier, code: CloseCode, lived: Duration) {
        self.lower(Id::ConnectionsActive, &[]);
        self.lower(Id::CarriersActive, &[carrier.label()]);
        self.add(Id::ConnectionsClosed, &[code.label()], 1);
        self.add(Id::SlowConsumers, &[], u64::from(code == CloseCode::SLOW_CONSUMER));
        self.lived.observe(lived.as_secs_f64());
    }

    /// A client is passed on from one node to another; `end` is `entry` or `owner`.
    pub fn spliced_opened(&self, end: &'static str) {
        self.add(Id::SplicedSockets, &[end], 1);
    }

    /// It is not any more.
    pub fn spliced_closed(&self, end: &'static str) {
        self.lower(Id::SplicedSockets, &[end]);
    }

    /// What became of passing a client on; `outcome` is of the documented set.
    pub fn splice(&self, outcome: &'static str) {
        self.add(Id::Splices, &[outcome], 1);
    }

    /// This node alone does not reach the store.
    pub fn cut_off(&self) {
        self.add(Id::CutOffs, &[], 1);
    }

    /// A session got its first peer.
    pub fn session_opened(&self) {
        self.add(Id::SessionsOpened, &[], 1);
        self.add(Id::SessionsActive, &[], 1);
    }

    /// A session lost its last peer.
    pub fn session_emptied(&self) {
        self.lower(Id::SessionsActive, &[]);
        self.add(Id::SessionsEmptied, &[], 1);
    }

    /// The certificate that is served ends at `seconds`, Unix time; 0 when TLS is not ours.
    pub fn certificate_expires(&self, seconds: u64) {
        self.set(Id::CertificateExpiry, &[], seconds);
    }

    /// Certificates and keys were read again, or some could not be.
    pub fn reloaded(&self, taken: bool) {
        self.add(Id::Reloads, &[if taken { "taken" } else { "refused" }], 1);
    }

    /// A connection met a cap.
    pub fn connection_refused(&self, cap: &'static str) {
        self.add(Id::ConnectionsRefused, &[cap], 1);
    }

    /// What became of an upload of an HTTP carrier.
    pub fn stream_upload(&self, outcome: &'static str) {
        self.add(Id::StreamUploads, &[outcome], 1);
    }

    /// A peer was put out by its host.
    pub fn peer_evicted(&self) {
        self.add(Id::PeersEvicted, &[], 1);
    }

    /// A peer was recycled.
    pub fn idle_pruned(&self) {
        self.add(Id::IdlePruned, &[], 1);
    }
}
