//! The same thing done to each of many: a line for each, progress on a terminal, a summary, and the
//! exit code.

use crate::failure::Failure;
use crate::output::Output;
use crate::text::plain;
use counterfoil_operations::{Instead, Mode, Objection, Outcome, Subject, Told, Words};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::borrow::Cow;

/// Whether `--dry-run` was given.
pub(crate) const fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Do }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    subject: &'a Subject,
    /// `done`, `asked`, `failed`, or with `--dry-run` `selected`.
    outcome: &'static str,
    detail: Option<&'a str>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    /// Those that were found.
    selected: usize,
    done: usize,
    asked: usize,
    failed: usize,
    /// Those that match the filter, but to which it cannot be done.
    left_out: usize,
    dry_run: bool,
}

/// The telling of it all.
pub(crate) struct Each<'a> {
    output: &'a mut Output,
    words: Words,
    mode: Mode,
    bar: ProgressBar,
    told: usize,
    asked: usize,
    failed: usize,
    left_out: usize,
    /// Whoever read the lines has gone: the work goes on.
    unread: Option<Failure>,
}

impl<'a> Each<'a> {
    /// Says how many there will be, as far as that is known.
    pub(crate) fn begin(
        output: &'a mut Output,
        words: Words,
        mode: Mode,
        count: Option<usize>,
    ) -> Self {
        if let Some(count) = count {
            let will = if mode == Mode::DryRun {
                "would"
            } else {
                "will"
            };
            eprintln!("{} {will} be {}", words.count(count), words.done);
        }
        Self {
            output,
            words,
            mode,
            bar: bar(count.unwrap_or(0)),
            told: 0,
            asked: 0,
            failed: 0,
            left_out: 0,
            unread: None,
        }
    }

    /// There will be about so many; whoever knows no better says so in words of their own.
    pub(crate) fn expect(&self, count: usize) {
        self.bar
            .set_length(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// So many match, but it cannot be done to them.
    pub(crate) fn left_out(&mut self, count: usize) {
        self.left_out += count;
    }

    /// One of them, and what became of it. With [`Mode::DryRun`], `Done` means that it would be.
    pub(crate) fn tell(&mut self, Told { subject, outcome }: &Told) {
        let (word, shown, detail) = match (outcome, self.mode) {
            (Outcome::Done(detail), Mode::Do) => (
                "done",
                self.words.done.to_owned(),
                detail.as_deref().map(Cow::from),
            ),
            (Outcome::Done(detail), Mode::DryRun) => (
                "selected",
                format!("would be {}", self.words.done),
                detail.as_deref().map(Cow::from),
            ),
            (Outcome::Asked(whom), _) => {
                self.asked += 1;
                ("asked", "asked".to_owned(), Some(Cow::from(whom)))
            }
            (Outcome::Failed(objection), _) => {
                self.failed += 1;
                ("failed", "failed".to_owned(), Some(in_full(objection)))
            }
        };
        self.told += 1;
        self.bar.inc(1);
        let told = if self.output.is_json() {
            self.output.document(&Line {
                subject,
                outcome: word,
                detail: detail.as_deref(),
            })
        } else {
            let name = subject.name.as_deref().unwrap_or("-");
            let detail = detail.map_or(String::new(), |detail| format!("  {}", plain(&detail)));
            self.output.line(format_args!(
                "{shown}  {}  {}{detail}",
                plain(&subject.id),
                plain(name)
            ))
        };
        if let Err(failure) = told {
            self.unread.get_or_insert(failure);
        }
    }

    /// Ids that somebody chose and nothing has.
    pub(crate) fn nobodys<'i>(&mut self, ids: impl IntoIterator<Item = &'i String>, why: &str) {
        for id in ids {
            let objection = Objection {
                why: why.to_owned(),
                instead: None,
            };
            self.tell(&Told {
                subject: Subject::nobodys(id),
                outcome: Outcome::Failed(objection),
            });
        }
    }

    /// The summary also where something else went wrong in the middle: what was done until then is an answer too.
    ///
    /// # Errors
    /// What went wrong, and see [`Self::end`].
    pub(crate) fn end_after(self, done: Result<(), Failure>) -> Result<(), Failure> {
        let ended = self.end();
        done.and(ended)
    }

    /// The summary, and a failure if one of them failed.
    ///
    /// # Errors
    /// When something was not done, or nobody reads the answer.
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let done = self.told - self.failed - self.asked;
        let dry_run = self.mode == Mode::DryRun;
        if self.output.is_json() {
            self.output.document(&Summary {
                selected: self.told,
                done: if dry_run { 0 } else { done },
                asked: self.asked,
                failed: self.failed,
                left_out: self.left_out,
                dry_run,
            })?;
        } else {
            self.output.line(self.summary(done))?;
        }
        if let Some(failure) = self.unread {
            return Err(failure);
        }
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::failed(format!(
                "{failed} of {} could not be {}",
                self.words.count(self.told),
                self.words.done
            ))),
        }
    }

    fn summary(&self, done: usize) -> String {
        let Words {
            done: participle, ..
        } = self.words;
        let mut text = self.words.count(done);
        match self.mode {
            Mode::Do => text.push_str(&format!(" {participle}")),
            Mode::DryRun => text.push_str(&format!(" would be {participle}; nothing was done")),
        }
        if self.asked > 0 {
            text.push_str(&format!(", {} asked to stop", self.asked));
        }
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if self.left_out > 0 {
            text.push_str(&format!(
                ", {} left out: they cannot be {participle}",
                self.left_out
            ));
        }
        text
    }
}

/// Why it was not done, with the options and commands that do something else about it.
fn in_full(objection: &Objection) -> Cow<'_, str> {
    let hint = match objection.instead {
        None => return Cow::from(&objection.why),
        Some(Instead::RunLiving) => ": --force runs it again all the same",
        Some(Instead::KeepFromStarting) => {
            "; if it was sent a moment ago, `--force` keeps it from starting"
        }
        Some(Instead::DiscardOrRerun) => ": discard the message, or see `task rerun`",
        Some(Instead::RerunOrForget) => {
            ": `task rerun` runs the task again, `dead discard` forgets the record"
        }
    };
    Cow::from(format!("{objection}{hint}"))
}

/// How far it is. Without a terminal nothing is drawn.
fn bar(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}
