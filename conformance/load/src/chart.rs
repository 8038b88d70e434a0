//! All runs beside each other as bars. Each figure has a scale of its own.

use std::fmt::Write;

use crate::report::Report;

/// An SVG with one group of bars for each figure of the first report.
pub(crate) fn draw(reports: &[Report]) -> String {
    let Some(first) = reports.first() else { return String::new() };
    let bar = f64::from(BAR);
    let height = TOP + first.figures.len() as f64 * (reports.len() as f64 * bar + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, 10.0, 20.0, "start", &first.scenario);
    let mut y = TOP;
    for figure in &first.figures {
        text(&mut svg, LEFT - 8.0, y + bar * reports.len() as f64 / 2.0 + 4.0, "end", figure.name);
        let values: Vec<_> = reports
            .iter()
            .map(|report| report.figures.iter().find(|other| other.name == figure.name).map(|f| f.value))
            .collect();
        let longest = values.iter().flatten().fold(0.0_f64, |longest, value| longest.max(*value));
        for ((report, value), colour) in reports.iter().zip(values).zip(COLOURS.iter().cycle()) {
            let Some(value) = value else { continue };
            let length = if longest > 0.0 { value.max(0.0) / longest * (RIGHT - LEFT) } else { 0.0 };
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR - 2
            );
            let label = format!("{} {value:.2} {}", report.target, figure.unit);
            text(&mut svg, LEFT + length + 5.0, y + bar - 5.0, "start", &label);
            y += bar;
        }
        y += GAP;
    }
    svg + "</svg>\n"
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

const WIDTH: f64 = 900.0;
const TOP: f64 = 36.0;
const LEFT: f64 = 210.0;
/// Behind it is room for a label.
const RIGHT: f64 = 690.0;
const BAR: u32 = 16;
const GAP: f64 = 10.0;
const COLOURS: [&str; 5] = ["#1b6ca8", "#9aa5b1", "#c9b458", "#6a9f58", "#a85c5c"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_bar_for_each_figure_it_has() {
        let report = |target, value| {
            let mut report = Report::new(target, "4 < 5".to_owned());
            report.add("p95", value, "ms");
            report
        };
        let mut more = report("relay", 2.0);
        more.add("only here", 0.0, "");
        let svg = draw(&[more, report("forwarder", 1.0)]);
        assert!(svg.contains("4 &lt; 5") && svg.contains("relay 2.00 ms"), "{svg}");
        assert!(svg.contains("width=\"480.0\"") && svg.contains("width=\"240.0\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + 3);
    }
}
