//! Which carrier is tried first. Sans-IO.

use parking_lot::Mutex;
use transport_core::{Closed, Initiator};

use super::{Carrier, CarrierChoice};
use crate::runtime::{Duration, Instant};

/// What a connector remembers of the carriers to its relay.
#[derive(Debug)]
pub(crate) struct Carriers {
    choice: CarrierChoice,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Whose relay this is about.
    host: String,
    /// Tried first, since when; a WebSocket without.
    first: Option<(Carrier, Instant)>,
    /// The WebSocket that is open, since when.
    open: Option<Instant>,
    /// WebSockets in a row that the network cut soon after they opened.
    cuts: u32,
    /// Times in a row that HTTP worked where a gateway had no relay for a WebSocket.
    substitutes: u32,
}

impl Carriers {
    pub(crate) fn new(choice: CarrierChoice) -> Self {
        Self { choice, memory: Mutex::default() }
    }

    /// The carriers to try, one after the other.
    pub(crate) fn order(&self, host: &str, now: Instant) -> Vec<Carrier> {
        let first = match self.choice {
            CarrierChoice::HttpOnly => return vec![Carrier::Http],
            CarrierChoice::WebSocketOnly => return vec![Carrier::WebSocket],
            CarrierChoice::Either => self.of(host).first(now),
        };
        vec![first, first.other()]
    }

    /// Notes that a relay socket opened.
    pub(crate) fn worked(&self, host: &str, carrier: Carrier, now: Instant) {
        let mut memory = self.of(host);
        memory.open = (carrier == Carrier::WebSocket).then_some(now);
        memory.substitutes = 0;
        if memory.first(now) != carrier || carrier == Carrier::Http {
            memory.first = Some((carrier, now));
            memory.cuts = 0;
        }
    }

    /// Notes that a relay socket opened where a gateway had just no relay for the other carrier. That says little: a
    /// pool that is rolled has such moments, and some proxies answer so to whatever they do not know.
    pub(crate) fn took_over(&self, host: &str, carrier: Carrier, now: Instant) {
        let mut memory = self.of(host);
        let substitutes = memory.substitutes + 1;
        if carrier == Carrier::WebSocket || substitutes >= SUBSTITUTES {
            drop(memory);
            return self.worked(host, carrier, now);
        }
        (memory.open, memory.substitutes) = (None, substitutes);
    }

    /// Notes that something stands in the way of a carrier: a dial that is given up meanwhile is not in vain.
    pub(crate) fn failed(&self, host: &str, carrier: Carrier, now: Instant) {
        self.of(host).first = Some((carrier.other(), now));
    }

    /// Notes how and when the relay socket ended that was open last.
    pub(crate) fn ended(&self, closed: &Closed, at: Instant) {
        let mut memory = self.memory.lock();
        let Some(opened) = memory.open.take() else { return };
        let cut = closed.initiator == Initiator::Network && at < opened + SOON;
        memory.cuts = if cut { memory.cuts + 1 } else { 0 };
        if memory.cuts >= CUTS {
            memory.cuts = 0;
            memory.first = Some((Carrier::Http, at));
        }
    }

    fn of(&self, host: &str) -> parking_lot::MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock();
        if memory.host != host {
            *memory = Memory { host: host.to_owned(), ..Memory::default() };
        }
        memory
    }
}

impl Memory {
    fn first(&self, now: Instant) -> Carrier {
        let fresh = self.first.filter(|(_, since)| now < *since + REMEMBERED);
        fresh.map_or(Carrier::WebSocket, |(carrier, _)| carrier)
    }
}

/// A WebSocket that the network cuts sooner was let through by mistake.
const SOON: Duration = Duration::from_secs(5);
/// So many in a row are no accident.
const CUTS: u32 = 3;
/// A gateway that never has a relay for a WebSocket and always for HTTP.
const SUBSTITUTES: u32 = 3;
/// A laptop leaves the hotel; HTTP costs a round trip for each batch.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use transport_core::CloseCode;

    use super::*;
    use crate::runtime::now;

    const HOST: &str = "relay.test";

    fn first(carriers: &Carriers, at: Instant) -> Carrier {
        carriers.order(HOST, at)[0]
    }

    #[test]
    fn what_worked_comes_first_for_a_while() {
        let (carriers, start) = (Carriers::new(CarrierChoice::Either), now());
        assert_eq!(carriers.order(HOST, start), [Carrier::WebSocket, Carrier::Http]);
        carriers.failed(HOST, Carrier::WebSocket, start);
        assert_eq!(carriers.order(HOST, start), [Carrier::Http, Carrier::WebSocket]);
        carriers.worked(HOST, Carrier::Http, start);
        assert_eq!(first(&carriers, start + REMEMBERED / 2), Carrier::Http);
        assert_eq!(first(&carriers, start + REMEMBERED), Carrier::WebSocket);
        assert_eq!(carriers.order("other.test", start)[0], Carrier::WebSocket);
        carriers.failed(HOST, Carrier::Http, start);
        assert_eq!(first(&carriers, start), Carrier::WebSocket);
    }

    #[test]
    fn a_moment_without_a_relay_is_no_word_about_the_carrier_and_three_in_a_row_are() {
        let (carriers, at) = (Carriers::new(CarrierChoice::Either), now());
        for _ in 0..2 {
            carriers.took_over(HOST, Carrier::Http, at);
            assert_eq!(first(&carriers, at), Carrier::WebSocket);
        }
        carriers.worked(HOST, Carrier::WebSocket, at);
        for _ in 0..2 {
            carriers.took_over(HOST, Carrier::Http, at);
            assert_eq!(first(&carriers, at), Carrier::WebSocket);
        }
        carriers.took_over(HOST, Carrier::Http, at);
        assert_eq!(first(&carriers, at), Carrier::Http);
        carriers.took_over(HOST, Carrier::WebSocket, at);
        assert_eq!(first(&carriers, at), Carrier::WebSocket, "the better one is taken back at once");
    }

    #[test]
    fn three_early_cuts_in_a_row_are_one_too_many() {
        let (carriers, mut at) = (Carriers::new(CarrierChoice::Either), now());
        let mut live = |lived: Duration, closed: &Closed| {
            carriers.worked(HOST, Carrier::WebSocket, at);
            at += lived;
            carriers.ended(closed, at);
            // Told twice, counted once.
            carriers.ended(closed, at);
            first(&carriers, at)
        };
        let (second, cut) = (Duration::from_secs(1), Closed::network("cut"));
        for _ in 0..2 {
            assert_eq!(live(second, &cut), Carrier::WebSocket);
        }
        assert_eq!(live(SOON, &cut), Carrier::WebSocket, "that one was usable");
        for _ in 0..2 {
            assert_eq!(live(second, &cut), Carrier::WebSocket);
        }
        assert_eq!(live(second, &Closed::peer(CloseCode::DRAIN, "")), Carrier::WebSocket);
        for _ in 0..2 {
            assert_eq!(live(second, &cut), Carrier::WebSocket);
        }
        assert_eq!(live(second, &cut), Carrier::Http);
    }

    #[test]
    fn a_choice_is_kept_to() {
        for (choice, carrier) in
            [(CarrierChoice::HttpOnly, Carrier::Http), (CarrierChoice::WebSocketOnly, Carrier::WebSocket)]
        {
            let carriers = Carriers::new(choice);
            carriers.failed(HOST, carrier, now());
            assert_eq!(carriers.order(HOST, now()), [carrier]);
        }
    }
}
