use std::{future::poll_fn, task::Poll};

use beach_lifeguard_client::websocket::{HeadBytes, Opcode};
use tokio::io::{AsyncReadExt, duplex};

use super::*;
use crate::relay::{outbound::Budget, ws::Frame};

#[tokio::test]
async fn who_has_taken_everything_is_waited_for_no_longer() {
    let payload = [7; 40];
    let bytes = [HeadBytes::server(Opcode::Binary, payload.len()).as_bytes(), &payload].concat();
    let frames = [Frame { text: false, start: 0, payload: bytes.len() - payload.len(), end: bytes.len() }];
    let budget = Budget { reliable: 1_000, datagram: 1_000, slack: 0 };
    let mut writer = Writer::new(Outbound::new(budget), 1);
    let (near, mut far) = duplex(4);
    writer.attach(Socket::of_another_carrier(near), 2);
    assert_eq!((writer.moved(), writer.waiting_since()), (2, None));

    assert_eq!(writer.send(&Run::new(&bytes, &frames), true, 3), Ok(Evicted::default()));
    assert_eq!((writer.state(), writer.waiting_since()), (State::Blocked, Some(3)));
    let (mut now, mut got) = (3, Vec::new());
    while writer.state() == State::Blocked {
        far.read_buf(&mut got).await.unwrap();
        if let Some(socket) = writer.socket()
            && poll_fn(|cx| Poll::Ready(socket.poll_writable(cx))).await.is_ready()
        {
            now += 1;
            writer.unblock(now);
        }
    }
    // The last step only flushed: the stream had accepted all bytes before, and had not passed them on.
    assert_eq!((writer.state(), writer.moved(), writer.waiting_since()), (State::Open, now, None));
    drop(writer);
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

#[tokio::test]
async fn behind_a_message_that_did_not_fit_nothing_is_written() {
    let budget = Budget { reliable: 6_000, datagram: 1_000, slack: 0 };
    let mut writer = Writer::new(Outbound::new(budget), 1);
    let (near, mut far) = duplex(4);
    writer.attach(Socket::of_another_carrier(near), 1);
    let message = |len: usize| Outgoing::Binary(vec![len as u8; len].into());
    assert!(writer.queue_all(&[message(5_000)], true, 2).is_ok());
    assert_eq!(writer.queue_all(&[message(5_000)], true, 2), Err(Overflow));
    // One that would fit comes behind the gap.
    let _ = writer.queue_all(&[message(9)], true, 3);
    writer.unblock(4);
    assert_eq!(writer.state(), State::Overfull);
    let (socket, rest) = writer.detach().unwrap();
    drop(socket);
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert!(got.len() + rest.len() <= 5_000 + 4, "{} and {}", got.len(), rest.len());
}
