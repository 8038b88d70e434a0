//! One run's figures, for a person and for a program.

use hdrhistogram::Histogram;
use serde::Serialize;

/// What one run measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// `relay` or `forwarder`.
    pub(crate) target: &'static str,
    /// The scenario and its settings, in words.
    pub(crate) scenario: String,
    /// Figures in the order they are shown: name, value, unit.
    pub(crate) figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What each turn had, when there were several; the value is their median.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) turns: Vec<f64>,
}

impl Report {
    pub(crate) fn new(target: &'static str, scenario: String) -> Self {
        Self { target, scenario, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value, unit, turns: Vec::new() });
    }

    /// Adds the percentiles of a histogram of microseconds.
    pub(crate) fn latency(&mut self, histogram: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            self.add(name, histogram.value_at_quantile(quantile) as f64 / 1e3, "ms");
        }
        self.add("worst", histogram.max() as f64 / 1e3, "ms");
    }

    /// The median of each figure of the same run, done again and again; `None` when it was never done.
    pub(crate) fn median(turns: Vec<Self>) -> Option<Self> {
        let mut median = turns.last()?.clone();
        for figure in median.figures.iter_mut().filter(|_| turns.len() > 1) {
            let all = turns.iter().flat_map(|report| &report.figures);
            figure.turns = all.filter(|other| other.name == figure.name).map(|other| other.value).collect();
            figure.value = median_of(figure.turns.clone());
        }
        Some(median)
    }

    /// Prints, with the ratio to each of `references`.
    pub(crate) fn print(&self, references: &[Report], form: Form) {
        match form {
            Form::Json => {
                for report in std::iter::once(self).chain(references) {
                    println!("{}", serde_json::to_string(report).unwrap_or_default());
                }
            }
            Form::Table => {
                print!("{}\n\n{:<28} {:>12}", self.scenario, "", self.target);
                references.iter().for_each(|report| print!(" {:>12} {:>8}", report.target, "ratio"));
                println!();
                for figure in &self.figures {
                    print!("{:<28} {:>12.3}", figure.name, figure.value);
                    for report in references {
                        let (beside, ratio) = figure.beside(report);
                        print!(" {beside:>12} {ratio:>8}");
                    }
                    println!("  {}", figure.unit);
                }
            }
            Form::Markdown => print!("{}", self.markdown(references, &command(), &machine())),
        }
    }

    fn markdown(&self, references: &[Report], command: &str, machine: &str) -> String {
        let mut text = format!("## {}\n\n`{command}`\n\n{machine}\n\n| | {} |", self.scenario, self.target);
        references.iter().for_each(|report| text += &format!(" {} | ratio |", report.target));
        text += " |\n|---|---|";
        references.iter().for_each(|_| text += "---|---|");
        text += "---|\n";
        for figure in &self.figures {
            text += &format!("| {} | {:.3} |", figure.name, figure.value);
            for report in references {
                let (beside, ratio) = figure.beside(report);
                text += &format!(" {beside} | {ratio} |");
            }
            text += &format!(" {} |\n", figure.unit);
        }
        text
    }
}

impl Figure {
    /// The same figure of a reference, and the ratio to it: the median of the turns' ratios, for what else the machine
    /// does changes from turn to turn and touches both alike.
    fn beside(&self, reference: &Report) -> (String, String) {
        let Some(other) = reference.figures.iter().find(|other| other.name == self.name) else {
            return Default::default();
        };
        let ratio = match (&self.turns[..], &other.turns[..]) {
            ([], _) | (_, []) => self.value / other.value,
            (ours, theirs) => {
                median_of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
            }
        };
        let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { String::new() };
        (format!("{:.3}", other.value), ratio)
    }
}

/// The middle one; there is one at least.
fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How figures are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Json,
    Markdown,
    Table,
}

/// The command as typed, without the folder of the program.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("lifeguard-load {}", arguments.join(" "))
}

/// What the figures were measured on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned());
    let model = info.lines().find_map(name).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let build = if cfg!(debug_assertions) { "development" } else { "release" };
    format!("{cores} cores, {model}; {build} build; generator, relay and references on the same machine.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_turns_is_of_each_figure() {
        let turns = [(3.0, 9.0), (1.0, 7.0), (2.0, 8.0)].map(|(p50, p95)| {
            let mut report = Report::new("relay", "stream".to_owned());
            report.add("p50", p50, "ms");
            report.add("p95", p95, "ms");
            report
        });
        let median = Report::median(turns.into()).unwrap();
        assert_eq!(median.figures.iter().map(|figure| figure.value).collect::<Vec<_>>(), [2.0, 8.0]);
        assert!(Report::median(Vec::new()).is_none());
    }

    #[test]
    fn the_ratio_of_turns_is_the_median_of_their_ratios() {
        let median = |target, values: [f64; 3]| {
            let turns = values.map(|value| {
                let mut report = Report::new(target, "stream".to_owned());
                report.add("CPU", value, "µs");
                report
            });
            Report::median(turns.into()).unwrap()
        };
        // In each turn twice as much; the last was disturbed.
        let (relay, forwarder) = (median("relay", [2.0, 4.0, 9.0]), median("forwarder", [1.0, 2.0, 3.0]));
        assert_eq!(relay.figures[0].beside(&forwarder), ("2.000".to_owned(), "2.00".to_owned()));
        assert_eq!(relay.figures[0].value, 4.0);
    }

    #[test]
    fn a_markdown_report_has_a_column_and_a_ratio_for_each_reference() {
        let report = |target, value| {
            let mut report = Report::new(target, "stream".to_owned());
            report.add("p95", value, "ms");
            report
        };
        let references = [report("forwarder", 2.0), report("websocket", 0.0)];
        let text = report("relay", 3.0).markdown(&references, "lifeguard-load stream", "2 cores");
        let wanted = "## stream\n\n`lifeguard-load stream`\n\n2 cores\n\n\
            | | relay | forwarder | ratio | websocket | ratio | |\n|---|---|---|---|---|---|---|\n\
            | p95 | 3.000 | 2.000 | 1.50 | 0.000 |  | ms |\n";
        assert_eq!(text, wanted);
    }
}
