//! What the judges of a real session were told is told to fresh ones: they ask for the same.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use transport_core::{
    judge::{Action, Event},
    signaling::Message,
};

use super::trace;
use crate::testing::{FALLBACK, MemoryNetwork, PRIMARY, Pair};

#[tokio::test(start_paused = true)]
async fn a_fresh_judge_asks_for_what_the_one_of_a_real_session_asked_for() {
    let net = MemoryNetwork::new();
    let Pair { host, viewer, hosted } = net.pair().await.unwrap();
    let talk = tokio::spawn({
        let (viewer, hosted) = (viewer.clone(), hosted.clone());
        async move {
            while viewer.send("up".into()).await.is_ok() && hosted.recv().await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    for (path, heals) in [(FALLBACK, false), (PRIMARY, true)] {
        if heals {
            net.primary.heal()
        } else {
            net.primary.block()
        }
        let moved = async {
            while viewer.status().path.as_ref() != Some(&path) {
                viewer.changed().await;
            }
        };
        timeout(Duration::from_secs(90), moved).await.expect("the session moves");
    }
    viewer.close().await;
    host.close().await;
    talk.abort();

    let records = trace::finished();
    assert_eq!(records.len(), 2, "one of each side");
    for record in records {
        let told = |wanted: fn(&Event) -> bool| {
            record.steps.iter().any(|step| step.event.as_ref().is_some_and(wanted))
        };
        assert!(told(|event| matches!(event, Event::LinkEnded { .. })));
        // The leader hears nothing when it notices a dead path before the follower complains.
        let leads = record.steps.iter().any(|step| {
            step.actions.iter().any(|action| matches!(action, Action::Say(Message::Dial { .. })))
        });
        assert!(leads || told(|event| matches!(event, Event::Heard(Message::Dial { .. }))));
        let moves = record.steps.iter().flat_map(|step| &step.actions);
        assert!(moves.filter(|action| matches!(action, Action::Tell { .. })).count() >= 3);

        let mut judge = record.fresh.clone();
        for (number, step) in record.steps.iter().enumerate() {
            match step.event.clone() {
                Some(event) => judge.handle_event(step.at, event),
                None => judge.handle_timeout(step.at),
            }
            let actions: Vec<_> = std::iter::from_fn(|| judge.poll_action()).collect();
            assert_eq!(actions, step.actions, "step {number}: {:?}", step.event);
        }
    }
}
