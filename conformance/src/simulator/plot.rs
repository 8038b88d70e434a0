//! Small SVG plots: axes, lines, a legend. No dependency draws three polylines better than 100 lines.

use std::fmt::Write;

/// One curve.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend says.
    pub name: String,
    /// Points, x ascending.
    pub points: Vec<(f64, f64)>,
}

/// A plot with linear axes from zero.
#[derive(Debug, Clone)]
pub struct Plot<'a> {
    /// Above the plot.
    pub title: &'a str,
    /// Below the x axis, with its unit.
    pub x: &'a str,
    /// Beside the y axis, with its unit.
    pub y: &'a str,
    /// Where the x axis ends.
    pub x_max: f64,
    /// Where the y axis ends.
    pub y_max: f64,
    /// A limit drawn dashed, and what it is.
    pub limit: Option<Limit<'a>>,
    /// The curves, at most as many as there are `COLOURS`.
    pub lines: Vec<Line>,
}

/// A promise, as a dashed line.
#[derive(Debug, Clone)]
pub enum Limit<'a> {
    /// At a height.
    Y(f64, &'a str),
    /// At a time.
    X(f64, &'a str),
}

impl Plot<'_> {
    /// Draws it.
    pub fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(&mut svg, WIDTH / 2.0, 20.0, "middle", self.title);
        text(&mut svg, WIDTH / 2.0, HEIGHT - 8.0, "middle", self.x);
        text(&mut svg, LEFT, TOP - 8.0, "start", self.y);
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let (x, y) = (self.at_x(share * self.x_max), self.at_y(share * self.y_max));
            line(&mut svg, (LEFT, y), (RIGHT, y), "stroke=\"#ddd\"");
            text(&mut svg, LEFT - 6.0, y + 4.0, "end", &number(share * self.y_max));
            line(&mut svg, (x, BOTTOM), (x, BOTTOM + 4.0), "stroke=\"#333\"");
            text(&mut svg, x, BOTTOM + 18.0, "middle", &number(share * self.x_max));
        }
        line(&mut svg, (LEFT, BOTTOM), (RIGHT, BOTTOM), "stroke=\"#333\"");
        line(&mut svg, (LEFT, TOP), (LEFT, BOTTOM), "stroke=\"#333\"");
        self.draw_limit(&mut svg);
        for ((curve, colour), row) in self.lines.iter().zip(COLOURS).zip(0u32..) {
            let inside = curve.points.iter().filter(|(x, _)| *x <= self.x_max);
            let mut path = String::new();
            for (x, y) in inside {
                push(&mut path, format_args!("{:.1},{:.1} ", self.at_x(*x), self.at_y(y.min(self.y_max))));
            }
            push(
                &mut svg,
                format_args!(
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{path}\"/>\n"
                ),
            );
            let y = TOP + 14.0 + 16.0 * f64::from(row);
            line(
                &mut svg,
                (RIGHT + 10.0, y - 4.0),
                (RIGHT + 28.0, y - 4.0),
                &format!("stroke=\"{colour}\" stroke-width=\"2\""),
            );
            text(&mut svg, RIGHT + 34.0, y, "start", &curve.name);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_limit(&self, svg: &mut String) {
        let style = "stroke=\"#b00\" stroke-dasharray=\"5 4\"";
        match &self.limit {
            None => {}
            Some(Limit::X(at, name)) => {
                line(svg, (self.at_x(*at), TOP), (self.at_x(*at), BOTTOM), style);
                text(svg, self.at_x(*at) + 5.0, BOTTOM - 8.0, "start", name);
            }
            Some(Limit::Y(at, name)) => {
                line(svg, (LEFT, self.at_y(*at)), (RIGHT, self.at_y(*at)), style);
                text(svg, RIGHT - 4.0, self.at_y(*at) - 5.0, "end", name);
            }
        }
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * value / self.x_max
    }

    fn at_y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / self.y_max
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    push(svg, format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>\n"));
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    push(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n"));
}

fn push(to: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = to.write_fmt(what);
}

fn number(value: f64) -> String {
    let digits = if value >= 10.0 || value == value.round() { 0 } else { 2 };
    format!("{value:.digits$}")
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 55.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 45.0;
const BOTTOM: f64 = 285.0;
const STEPS: u32 = 5;
/// One for each curve; told apart by people who see colours differently (Okabe and Ito, 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#777777", "#000000"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_escapes_its_words_and_stays_inside_its_axes() {
        let lines =
            vec![Line { name: "a < b & c".to_owned(), points: vec![(0.0, 0.0), (1.0, 9.0), (99.0, 1.0)] }];
        let limit = Some(Limit::Y(0.5, "limit"));
        let plot = Plot { title: "t", x: "x", y: "y", x_max: 2.0, y_max: 1.0, limit, lines };
        let svg = plot.to_svg();
        assert!(svg.contains("a &lt; b &amp; c") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("points=\"55.0,285.0 327.5,45.0 \""), "{svg}");
    }
}
