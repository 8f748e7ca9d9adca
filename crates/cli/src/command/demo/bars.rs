//! How far the demo is. Without a terminal nothing is drawn.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Two bars: what was sent, and what has come to its end in the database.
pub(super) struct Bars {
    sent: ProgressBar,
    ended: ProgressBar,
}

impl Bars {
    pub(super) fn new(to_send: usize, to_end: usize) -> Self {
        // indicatif hides both when standard error is no terminal.
        let screen = MultiProgress::new();
        let bar = |name: &'static str, length: usize| {
            let bar = screen.add(ProgressBar::new(wide(length)));
            let style = ProgressStyle::with_template("{msg:<28} {wide_bar} {pos:>6}/{len}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_message(name);
            bar
        };
        Self {
            sent: bar("sent and confirmed", to_send),
            ended: bar("run, reported and mirrored", to_end),
        }
    }

    /// One more was sent.
    pub(super) fn sent(&self) {
        self.sent.inc(1);
    }

    /// Drawn once more: the last steps come too fast for each to be seen.
    pub(super) fn all_sent(&self) {
        self.sent.finish();
    }

    /// So many have come to their end.
    pub(super) fn ended(&self, count: usize) {
        self.ended.set_position(wide(count));
    }

    /// Makes room for the answer, which says the same in numbers.
    pub(super) fn finish(&self) {
        self.sent.finish_and_clear();
        self.ended.finish_and_clear();
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
