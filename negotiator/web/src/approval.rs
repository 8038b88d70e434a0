//! A page's say over who comes in.

use async_trait::async_trait;
use js_sys::{Function, JSON, Promise};
use negotiator::{Access, Applicant, Approval, Decision};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// Asks a function of the page, which stays on its thread.
#[derive(Debug)]
pub(crate) struct PageApproval {
    questions: mpsc::Sender<(Applicant, oneshot::Sender<Decision>)>,
}

impl PageApproval {
    /// Asks `approve` for as long as this lives.
    pub(crate) fn new(approve: Function) -> Self {
        let (questions, mut asked) = mpsc::channel::<(Applicant, oneshot::Sender<Decision>)>(QUESTIONS);
        spawn_local(async move {
            while let Some((applicant, mut answer)) = asked.recv().await {
                let approve = approve.clone();
                // A person may take their time, and others wait at the door as well.
                spawn_local(async move {
                    tokio::select! {
                        decision = decide(&approve, &applicant) => drop(answer.send(decision)),
                        // Who asked has gone away.
                        () = answer.closed() => {}
                    }
                });
            }
        });
        Self { questions }
    }
}

#[async_trait]
impl Approval for PageApproval {
    async fn decide(&self, applicant: Applicant) -> Decision {
        let (answer, answered) = oneshot::channel();
        if self.questions.send((applicant, answer)).await.is_err() {
            return Decision::Unanswered;
        }
        answered.await.unwrap_or(Decision::Unanswered)
    }
}

/// Only a plain yes lets somebody in: what the function throws, or returns by mistake, does not.
async fn decide(approve: &Function, applicant: &Applicant) -> Decision {
    let told = json!({
        "peer": applicant.peer.to_string(),
        "name": applicant.name.as_ref().map(|name| name.as_str()),
        "readOnly": applicant.access == Access::ReadOnly,
    });
    let answer = async {
        let told = JSON::parse(&told.to_string())?;
        let answer = approve.call1(&JsValue::UNDEFINED, &told)?;
        JsFuture::from(Promise::resolve(&answer)).await
    };
    match answer.await {
        Ok(answer) if answer.as_bool() == Some(true) => Decision::Admit(Access::Full),
        Ok(answer) if answer.as_string().as_deref() == Some("readOnly") => Decision::Admit(Access::ReadOnly),
        _ => Decision::Refuse,
    }
}

/// Applicants that the page has not been asked about yet.
const QUESTIONS: usize = 32;
