//! Log lines and spans: where they go, in which form, and what never gets there.
//!
//! | variable | what |
//! |---|---|
//! | `RUST_LOG` | which lines are logged, as `tracing-subscriber` reads it; `info` by default |
//! | `BEACH_LIFEGUARD_LOG` | their form: `text`, the default, or `json` |
//! | `BEACH_LIFEGUARD_OTEL_STDOUT` | `1` prints spans on stdout, for a look without a collector |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | sends spans to this collector by OTLP over HTTP (protobuf) |
//!
//! Identifiers, tokens and bodies are no fields of ours. What libraries would say about them is silenced
//! here ([`fit_to_print`]) at every level, whatever `RUST_LOG` asks for.

mod export;
mod silence;

use std::io::IsTerminal;

use ::tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Targets, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};
use url::Url;

pub use self::{export::Exporting, silence::fit_to_print};

/// Where log lines and spans go.
///
/// # Defaults
///
/// Lines as text at `info`; spans nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logging {
    /// The form of log lines.
    pub form: Form,
    /// Which lines, as in `RUST_LOG`. Empty for `info`; what cannot be read in it is passed over.
    pub filter: String,
    /// Where spans go.
    pub spans: Spans,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line, for a log store.
    Json,
    /// For a person; in colours on a terminal.
    #[default]
    Text,
}

/// Where spans go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Spans {
    /// Nowhere: nothing is measured for them.
    #[default]
    Nowhere,
    /// To a collector's base URL; `/v1/traces` is added to it.
    Otlp(Url),
    /// To stdout, as OpenTelemetry prints them.
    Stdout,
}

impl Logging {
    /// Reads the variables of the module's table. `lookup` finds one.
    ///
    /// # Errors
    ///
    /// [`LogError`] naming the variable.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, LogError> {
        let set = |name| lookup(name).filter(|value| !value.is_empty());
        let form = match set("BEACH_LIFEGUARD_LOG").as_deref() {
            None | Some("text") => Form::Text,
            Some("json") => Form::Json,
            Some(_) => return Err(LogError::new("BEACH_LIFEGUARD_LOG", "is text or json")),
        };
        let collector = set("OTEL_EXPORTER_OTLP_ENDPOINT");
        let spans = match (set("BEACH_LIFEGUARD_OTEL_STDOUT").as_deref(), collector) {
            (Some("1" | "true"), _) => Spans::Stdout,
            (None | Some("0" | "false"), None) => Spans::Nowhere,
            (None | Some("0" | "false"), Some(url)) => {
                let url = url.parse().ok().filter(|url: &Url| matches!(url.scheme(), "http" | "https"));
                Spans::Otlp(
                    url.ok_or(LogError::new("OTEL_EXPORTER_OTLP_ENDPOINT", "is an http or https URL"))?,
                )
            }
            _ => return Err(LogError::new("BEACH_LIFEGUARD_OTEL_STDOUT", "is 1 or 0")),
        };
        Ok(Self { form, filter: set("RUST_LOG").unwrap_or_default(), spans })
    }

    /// Starts logging to stderr for the whole process. When something was started before, that stays.
    /// Spans need a Tokio runtime. The answer is to be [finished](Exporting::finish) at the end.
    ///
    /// # Errors
    ///
    /// [`LogError`] when spans cannot be sent where they should go.
    pub fn start(&self) -> Result<Exporting, LogError> {
        let (subscriber, exporting) = self.subscriber(std::io::stderr)?;
        // Fails only when logging was started before, and then it is.
        let _ = subscriber.try_init();
        Ok(exporting)
    }

    /// Makes what [`start`](Self::start) installs, with lines going to `writer`.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn subscriber<W>(
        &self,
        writer: W,
    ) -> Result<(impl Subscriber + Send + Sync + use<W>, Exporting), LogError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let exporting = Exporting::to(&self.spans)?;
        let which = EnvFilter::builder().with_default_directive(Level::INFO.into()).parse_lossy(&self.filter);
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = fmt::layer().with_writer(writer).with_ansi(colours && self.form == Form::Text);
        let lines = match self.form {
            Form::Json => lines.json().boxed(),
            Form::Text => lines.boxed(),
        };
        // Requests are spans at DEBUG: a collector gets them whatever the lines are filtered by.
        let ours = Targets::new().with_target("lifeguard_relay", Level::DEBUG);
        let spans = exporting
            .tracer()
            .map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours));
        let subscriber =
            Registry::default().with(filter_fn(fit_to_print)).with(lines.with_filter(which)).with(spans);
        Ok((subscriber, exporting))
    }
}

/// Logging cannot be started as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {rule}")]
pub struct LogError {
    /// The variable.
    pub variable: &'static str,
    /// What must hold for it.
    pub rule: &'static str,
}

impl LogError {
    const fn new(variable: &'static str, rule: &'static str) -> Self {
        Self { variable, rule }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &'static [(&'static str, &'static str)]) -> Result<Logging, LogError> {
        Logging::from_env(&|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variables_say_where_to_and_in_which_form() {
        assert_eq!(from(&[]).unwrap(), Logging::default());
        let all = from(&[
            ("RUST_LOG", "debug"),
            ("BEACH_LIFEGUARD_LOG", "json"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ])
        .unwrap();
        let collector = Spans::Otlp("http://collector:4318".parse().unwrap());
        assert_eq!(all, Logging { form: Form::Json, filter: "debug".to_owned(), spans: collector });
        let stdout = [("BEACH_LIFEGUARD_OTEL_STDOUT", "1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")];
        let stdout = Logging::from_env(&|name| {
            stdout.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(stdout.unwrap().spans, Spans::Stdout, "whoever asks to see them sees them");
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (pairs, variable) in [
            (&[("BEACH_LIFEGUARD_LOG", "xml")] as &'static [_], "BEACH_LIFEGUARD_LOG"),
            (&[("BEACH_LIFEGUARD_OTEL_STDOUT", "perhaps")], "BEACH_LIFEGUARD_OTEL_STDOUT"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "file:///etc/passwd")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ] {
            assert_eq!(from(pairs).unwrap_err().variable, variable, "{pairs:?}");
        }
    }
}
