//! What each call comes to.

use std::rc::Rc;

use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound};

use crate::{
    dial,
    page::Desk,
    waits::poll,
    wire::{Answer, Ask, Asked, Told},
};

/// Carries one call out, and answers it.
pub(crate) fn carry_out(desk: &Rc<Desk>, Asked { number, ask }: Asked, payload: Bytes) {
    let answer = match ask {
        Ask::Id => Answer::Named(dial::name()),
        Ask::Connect(dial) => return dial::connect(desk, number, *dial),
        Ask::Abandon(call) => Answer::Abandoned(desk.waits.abandon(call)),
        Ask::Hear(dial, said) => return desk.dials.hear(dial, said),
        Ask::HearNoMore(dial) => return desk.dials.hear_no_more(dial),
        Ask::Profile(end) => Answer::Profile(Box::new(desk.end(end).profile().into())),
        Ask::TrySend(end, lane) => match desk.end(end).try_send(lane.into(), payload.clone()) {
            Ok(()) => Answer::Done,
            Err(refused) => {
                // Handed back by the page's transport: not what the test holds of it.
                let told = Told::Answer(number, Answer::Refused((&refused.why).into()));
                return desk.tell_with(&told, &refused.payload);
            }
        },
        Ask::Writable(end, lane) => {
            let end = desk.end(end);
            return poll(desk, number, async move { done(end.writable(lane.into()).await) });
        }
        Ask::Recv(end) => {
            let end = desk.end(end);
            return poll(desk, number, async move { taken(end.recv().await) });
        }
        Ask::Close(end, code, detail) => {
            let code = CloseCode::from_wire(code).expect("a test closes with a code");
            desk.end(end).close(code, &detail);
            Answer::Done
        }
        Ask::Closed(end) => {
            let end = desk.end(end);
            return poll(desk, number, async move { done(Err(end.closed().await)) });
        }
        Ask::Stats(end) => Answer::Stats(Box::new(desk.end(end).stats().into())),
        Ask::SetAhead(end, bytes) => {
            desk.end(end).set_ahead(bytes);
            Answer::Done
        }
        Ask::Drop(end) => {
            desk.drop_end(end);
            Answer::Done
        }
    };
    desk.answer(number, answer);
}

fn done(outcome: Result<(), Closed>) -> (Answer, Bytes) {
    let answer = match outcome {
        Ok(()) => Answer::Done,
        Err(closed) => Answer::Closed((&closed).into()),
    };
    (answer, Bytes::new())
}

fn taken(outcome: Result<Inbound, Closed>) -> (Answer, Bytes) {
    match outcome {
        Ok(Inbound { lane, payload }) => (Answer::Inbound(lane.into()), payload),
        Err(closed) => done(Err(closed)),
    }
}
