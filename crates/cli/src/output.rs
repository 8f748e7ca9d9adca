//! Answers: lines, tables, or JSON documents, on standard output.

use crate::failure::Failure;
use crate::text::{plain, plain_json};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufWriter, Stdout, Write};

/// Where answers go. What is written is seen after [`Output::flush`].
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

/// How many things one list shows.
pub(crate) const MOST_SHOWN: usize = 10_000;

/// A column of a table: its head, and on which side its cells line up.
pub(crate) type Column = (&'static str, CellAlignment);

/// A column of words.
pub(crate) const fn words(head: &'static str) -> Column {
    (head, CellAlignment::Left)
}

/// A column of numbers.
pub(crate) const fn numbers(head: &'static str) -> Column {
    (head, CellAlignment::Right)
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            out: BufWriter::new(std::io::stdout()),
        }
    }

    /// Whether answers are JSON documents.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One line for people.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// What is called `name`, on a line of its own.
    pub(crate) fn fact(&mut self, name: &str, fact: &str) -> Result<(), Failure> {
        self.line(format_args!("{name:<12} {}", plain(fact)))
    }

    /// One JSON document, on one line.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document)
            .map_err(|error| Failure::failed(format!("the answer is no JSON: {error}")))?;
        self.json(&text)
    }

    /// A JSON text from elsewhere, on one line.
    pub(crate) fn json(&mut self, text: &str) -> Result<(), Failure> {
        self.line(plain_json(text))
    }

    /// A list: one document per line, or a table whose rows `row` makes.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        items: &[T],
        columns: &[Column],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        if self.json {
            return items.iter().try_for_each(|item| self.document(item));
        }
        if items.is_empty() {
            eprintln!("nothing found");
            return Ok(());
        }
        self.table(columns, items.iter().map(row))
    }

    /// The first `limit` of a list that has one more where there are more, which is said then.
    pub(crate) fn beginning<T: Serialize>(
        &mut self,
        items: &[T],
        limit: u32,
        columns: &[Column],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        let limit = usize::try_from(limit).map_or(MOST_SHOWN, |limit| limit.min(MOST_SHOWN));
        let shown = &items[..items.len().min(limit)];
        self.list(shown, columns, row)?;
        match shown.len() < items.len() {
            true => self.more_than(limit),
            false => Ok(()),
        }
    }

    /// Says that a list goes on after so many.
    pub(crate) fn more_than(&mut self, limit: usize) -> Result<(), Failure> {
        // Behind what it is about, also where both go to one place.
        self.flush()?;
        match limit < MOST_SHOWN {
            true => eprintln!("there are more than these {limit}: a higher --limit shows more"),
            false => eprintln!("there are more than these {limit}, the most that one list shows"),
        }
        Ok(())
    }

    /// A table for people.
    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: impl Iterator<Item = Vec<String>>,
    ) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|(head, _)| *head));
        table.add_rows(rows.map(|row| row.iter().map(|text| plain(text)).collect::<Vec<_>>()));
        for (column, (_, alignment)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(*alignment);
        }
        self.line(table.trim_fmt())
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}
