//! Plots as SVG, readable on light and on dark pages, without a script or a font of their own.

use std::fmt::Write as _;

use super::figures::Unit;
use super::numbers::grouped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
/// Around the axes: for the numbers, and for what they are.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
/// Points whose ends differ by more have the same distance for the same factor.
const MOST_LINEAR: f64 = 20.0;
/// The page's own colours are not known here, so the plot brings its background.
const STYLE: &str = "\
:root{--back:#fff;--line:#d0d7de;--text:#1f2328;--mark:#0969da}\
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--line:#3d444d;--text:#e6edf3;--mark:#4493f8}}\
.back{fill:var(--back)}.grid{stroke:var(--line);stroke-width:1}\
text{fill:var(--text);font:13px system-ui,sans-serif}.title{font-size:15px;font-weight:600}\
.line{fill:none;stroke:var(--mark);stroke-width:2}.mark{fill:var(--mark)}.turn{fill:var(--mark);opacity:.35}";

/// One line over points.
#[derive(Clone, Debug)]
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    /// What the points differ in.
    pub(super) what: &'a str,
    pub(super) unit: Unit,
    pub(super) points: Vec<Point>,
}

/// A point, with all turns that its value is the median of.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) value: f64,
    pub(super) turns: Vec<f64>,
}

impl Plot<'_> {
    /// The whole file.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\n",
            title = escape(self.title)
        );
        text(&mut svg, "title", (WIDTH / 2.0, 28.0), "middle", self.title);
        text(&mut svg, "what", (WIDTH / 2.0, HEIGHT - 12.0), "middle", self.what);
        let top = self.top();
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let (y, right) = (y(value), WIDTH - RIGHT);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let number = if step == 0 { "0".to_owned() } else { self.unit.show(value) };
            text(&mut svg, "y", (LEFT - 8.0, y + 4.0), "end", &number);
        }
        let places: Vec<f64> = self.points.iter().map(|point| self.x(point.at)).collect();
        for (point, x) in self.points.iter().zip(&places) {
            text(&mut svg, "x", (*x, HEIGHT - BOTTOM + 20.0), "middle", &grouped(point.at));
            for turn in &point.turns {
                let _ = writeln!(svg, "<circle class=\"turn\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\"/>", y(*turn));
            }
        }
        let line: Vec<_> =
            self.points.iter().zip(&places).map(|(point, x)| format!("{x:.1},{:.1}", y(point.value))).collect();
        let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", line.join(" "));
        for (point, x) in self.points.iter().zip(&places) {
            let _ = writeln!(svg, "<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4.5\"/>", y(point.value));
        }
        svg + "</svg>\n"
    }

    /// Where a point is from left to right.
    fn x(&self, at: f64) -> f64 {
        let ends = self
            .points
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), point| (least.min(point.at), most.max(point.at)));
        // There is no factor from nothing to something: nothing stands where a tenth of the next point would.
        let above = self.points.iter().map(|point| point.at).filter(|at| *at > 0.0).fold(f64::MAX, f64::min);
        let is_linear = ends.1 / above.max(1e-9) <= MOST_LINEAR;
        let scale = |at: f64| if is_linear { at } else { at.max(above / 10.0).log10() };
        let (from, to) = (scale(ends.0), scale(ends.1));
        let part = if to > from { (scale(at) - from) / (to - from) } else { 0.5 };
        // Half a number's width from the edges.
        LEFT + 30.0 + part * (WIDTH - LEFT - RIGHT - 60.0)
    }

    /// The round number that the axis ends with.
    fn top(&self) -> f64 {
        let values = self.points.iter().flat_map(|point| point.turns.iter().chain([&point.value]));
        let most = values.copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
        if most <= 0.0 {
            return 1.0;
        }
        let power = 10_f64.powf(most.log10().floor());
        // Each can be cut in four.
        let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
        steps.into_iter().map(|step| step * power).find(|top| *top >= most).unwrap_or(most)
    }
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Plot<'static> {
        let point = |(at, value): &(f64, f64)| Point { at: *at, value: *value, turns: vec![*value] };
        Plot { title: "a < b & c", what: "x", unit: Unit::Nanoseconds, points: points.iter().map(point).collect() }
    }

    /// The values of an attribute in all elements of a class.
    fn all(svg: &str, class: &str, attribute: &str) -> Vec<f64> {
        let lines = svg.lines().filter(|line| line.contains(&format!("class=\"{class}\"")));
        let value = |line: &str| line.split_once(&format!("{attribute}=\""))?.1.split_once('"')?.0.parse().ok();
        lines.filter_map(value).collect()
    }

    #[test]
    fn points_are_where_their_numbers_are() {
        let svg = plot(&[(100.0, 2000.0), (1000.0, 4000.0), (10_000.0, 1000.0)]).svg();
        let (x, y) = (all(&svg, "mark", "cx"), all(&svg, "mark", "cy"));
        assert_eq!(x[2] - x[1], x[1] - x[0], "each is ten times the one before");
        assert_eq!(y[1], TOP, "the axis ends with the largest");
        assert_eq!(y, [160.0, 50.0, 215.0]);
        assert_eq!(all(&svg, "x", "x"), x);
    }

    #[test]
    fn what_is_near_together_is_linear_and_nothing_has_a_place() {
        let svg = plot(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]).svg();
        let x = all(&svg, "mark", "cx");
        assert_eq!(x[2] - x[1], x[1] - x[0]);

        let x = all(&plot(&[(0.0, 1.0), (1000.0, 1.0), (100_000.0, 1.0)]).svg(), "mark", "cx");
        assert!(x.iter().all(|x| (LEFT..WIDTH - RIGHT).contains(x)) && x.is_sorted(), "{x:?}");
    }

    #[test]
    fn odd_points_make_a_plot_too() {
        for points in [&[][..], &[(5.0, 0.0)], &[(0.0, 0.0)], &[(0.0, 3.0), (0.0, 4.0)]] {
            let svg = plot(points).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn text_is_escaped_and_dark_pages_are_known() {
        let svg = plot(&[(1.0, 1.0)]).svg();
        assert!(svg.contains("<title>a &lt; b &amp; c</title>"));
        assert!(svg.contains("prefers-color-scheme:dark"));
    }
}
