//! From a URL to an answer or a WebSocket, by the browser.

use std::{fmt, sync::Arc};

use n0_future::time::timeout;
use url::Url;

use super::{
    cause::Cause,
    config::{ConfigError, Deadlines, OutboundConfig},
    fetch::fetch,
    stream::{Streaming, stream},
    websocket::WebSocket,
};
use crate::{
    error::{OutboundError, Stage},
    request::{Request, Response},
};

/// Opens connections. Cheap to clone; holds no connection of its own.
#[derive(Clone, Default)]
pub struct Outbound {
    deadlines: Deadlines,
    answered: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Outbound {
    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn new(config: OutboundConfig) -> Result<Self, ConfigError> {
        config.deadlines.check()?;
        Ok(Self { deadlines: config.deadlines, answered: None })
    }

    /// Returns the same, calling `answered` whenever a WebSocket has opened or a streaming answer has begun: the
    /// first a browser tells of a path.
    #[must_use]
    pub fn on_answer(&self, answered: impl Fn() + Send + Sync + 'static) -> Self {
        Self { answered: Some(Arc::new(answered)), ..self.clone() }
    }

    /// Sends one request and reads the whole answer. Follows no redirect and sends no cookies; any status is an `Ok`.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the request.
    pub async fn http(&self, request: Request) -> Result<Response, OutboundError> {
        let (url, limit) = (request.url.clone(), self.deadlines.http);
        let answer = timeout(limit, fetch(request)).await;
        answer.unwrap_or(Err(Cause::TimedOut(limit))).map_err(|cause| failed(Stage::Http, &url, cause))
    }

    /// Sends one request, and returns once the head of the answer is there. Its body may take as long as it likes.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the body later, aborts the request.
    pub async fn stream(&self, request: Request) -> Result<Streaming, OutboundError> {
        let (url, limit) = (request.url.clone(), self.deadlines.connect);
        let begun = timeout(limit, stream(request)).await;
        let begun = begun.unwrap_or(Err(Cause::TimedOut(limit)));
        let begun = begun.map_err(|cause| failed(Stage::Http, &url, cause))?;
        self.tell_answered();
        Ok(begun)
    }

    /// Does nothing: names are the browser's matter.
    pub async fn learn(&self, _: &Url) {}

    /// Opens a WebSocket of `subprotocol`.
    ///
    /// # Errors
    ///
    /// [`OutboundError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt.
    pub async fn websocket(
        &self,
        url: &Url,
        subprotocol: Option<&'static str>,
    ) -> Result<WebSocket, OutboundError> {
        let limit = self.deadlines.connect;
        let opened = timeout(limit, WebSocket::open(url, subprotocol)).await;
        let opened = opened.unwrap_or(Err(Cause::TimedOut(limit)));
        let opened = opened.map_err(|cause| failed(Stage::Connect, url, cause))?;
        self.tell_answered();
        Ok(opened)
    }

    fn tell_answered(&self) {
        if let Some(answered) = &self.answered {
            answered();
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("deadlines", &self.deadlines).finish_non_exhaustive()
    }
}

fn failed(stage: Stage, url: &Url, cause: Cause) -> OutboundError {
    OutboundError::new(stage, url.host_str().unwrap_or("?"), cause)
}
