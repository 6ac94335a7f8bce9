//! What is on the screen while the demo runs: a bar for the stage at work, a line for each that is done.
//!
//! Bars are drawn on stderr and only if that is a terminal; what is done goes to stdout. So a pipe gets the lines alone.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const SPINNER: &str = "  {spinner:.cyan} {msg}";
const BAR: &str = "  {spinner:.cyan} {msg} {bar:32.cyan/blue.dim} {pos}/{len}";
const REDRAWN_EVERY: Duration = Duration::from_millis(80);

/// A stage at work.
pub struct Stage {
    title: String,
    bar: ProgressBar,
    began: Instant,
}

/// Announces a part of the story.
pub fn chapter(title: impl Display) {
    print(format_args!("\n{title}"));
}

/// Says one thing, within a chapter.
pub fn say(line: impl Display) {
    print(format_args!("  {line}"));
}

fn print(line: impl Display) {
    // If nobody reads any more (`demo | head`), the story goes on all the same: its exit code is the verdict.
    drop(writeln!(std::io::stdout(), "{line}"));
}

impl Stage {
    pub fn begin(title: impl Into<String>) -> Self {
        let title = title.into();
        let bar = ProgressBar::no_length().with_message(title.clone());
        dress(&bar, SPINNER);
        bar.enable_steady_tick(REDRAWN_EVERY);
        Self { title, bar, began: Instant::now() }
    }

    pub fn progress(&self, done: u64, total: u64) {
        if self.bar.length().is_none() {
            dress(&self.bar, BAR);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Puts a line in the bar's place.
    pub fn done(self, result: impl Display) {
        self.bar.finish_and_clear();
        say(format_args!("✓ {}: {result}, {}", self.title, Seconds(self.began.elapsed())));
    }
}

/// The templates are constants; if one were wrong, the plain bar would do.
fn dress(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_millis() {
            millis @ 0..1_000 => write!(f, "{millis} ms"),
            _ => write!(f, "{:.2} s", self.0.as_secs_f64()),
        }
    }
}
