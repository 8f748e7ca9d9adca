//! Plain data out of what Python pickled. Nothing is ever called or looked up: a pickle that wants that is refused.

use serde_json::{Number, Value};

/// Most values in one, and most bytes of it.
const MOST: usize = 1_000_000;

/// Deepest lists in lists.
const DEEPEST: usize = 64;

/// What lies on the stack of a pickle that is read.
#[derive(Debug, Clone)]
enum Part {
    Mark,
    /// A value, and how deep lists are in each other within it.
    Value(Value, usize),
}

/// A pickle of plain data as JSON. `None`: it is none, or holds something else.
pub(super) fn unpickle(pickle: &[u8]) -> Option<String> {
    let mut machine = Machine {
        rest: pickle,
        stack: Vec::new(),
        memo: Vec::new(),
        budget: MOST,
    };
    machine.run().map(|value| value.to_string())
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Part>,
    /// What may be repeated. `None`: a list or a dictionary, which may be filled later.
    memo: Vec<Option<Value>>,
    /// Values, and bytes of what is repeated, that may still be made.
    budget: usize,
}

impl Machine<'_> {
    fn run(&mut self) -> Option<Value> {
        loop {
            match self.byte()? {
                0x80 => drop(self.take(1)?),
                // A frame says only how long it is.
                0x95 => drop(self.take(8)?),
                b'.' => return self.pop().map(|(value, _)| value),
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'N' => self.push(Value::Null),
            0x88 => self.push(true.into()),
            0x89 => self.push(false.into()),
            b'K' | b'M' | b'J' | 0x8a | b'L' | b'G' => {
                let number = self.number(opcode)?;
                self.push(number)
            }
            b'X' | 0x8c | 0x8d => {
                let text = self.text(opcode)?;
                self.push(text.into())
            }
            b']' | b')' => self.push(Value::Array(Vec::new())),
            b'}' => self.push(Value::Object(serde_json::Map::new())),
            b'(' => {
                self.stack.push(Part::Mark);
                Some(())
            }
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84)),
            b't' => {
                let items = self.since_mark()?;
                self.list(items)
            }
            b'a' | b'e' => self.append(opcode),
            b's' | b'u' => self.set(opcode),
            0x94 | b'q' | b'r' => self.remember(opcode),
            b'h' | b'j' => self.recall(opcode),
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        let mut wide = [0; 8];
        wide.get_mut(..bytes)?.copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(wide)).ok()
    }

    fn push(&mut self, value: Value) -> Option<()> {
        let depth = usize::from(value.is_array() || value.is_object());
        self.push_around(value, depth)
    }

    /// Deeper values are refused before they are made: what drops or copies them goes into them.
    fn push_around(&mut self, value: Value, depth: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(1)?;
        if depth > DEEPEST {
            return None;
        }
        self.stack.push(Part::Value(value, depth));
        Some(())
    }

    fn pop(&mut self) -> Option<(Value, usize)> {
        match self.stack.pop()? {
            Part::Value(value, depth) => Some((value, depth)),
            Part::Mark => None,
        }
    }

    /// What a list or a dictionary on the stack, within which is something so deep, is filled with.
    fn fill(&mut self, within: usize) -> Option<&mut Value> {
        match self.stack.last_mut()? {
            Part::Value(value, depth) => {
                *depth = (*depth).max(within + 1);
                (*depth <= DEEPEST).then_some(value)
            }
            Part::Mark => None,
        }
    }

    fn since_mark(&mut self) -> Option<Vec<(Value, usize)>> {
        let mark = self
            .stack
            .iter()
            .rposition(|part| matches!(part, Part::Mark))?;
        let items = self.stack.split_off(mark);
        let items = items.into_iter().skip(1).map(|part| match part {
            Part::Value(value, depth) => Some((value, depth)),
            Part::Mark => None,
        });
        items.collect()
    }

    fn number(&mut self, opcode: u8) -> Option<Value> {
        Some(match opcode {
            b'K' => self.byte()?.into(),
            b'M' => u16::from_le_bytes(self.take(2)?.try_into().ok()?).into(),
            b'J' => i32::from_le_bytes(self.take(4)?.try_into().ok()?).into(),
            b'G' => {
                let float = f64::from_be_bytes(self.take(8)?.try_into().ok()?);
                Value::Number(Number::from_f64(float)?)
            }
            b'L' => {
                let end = self.rest.iter().position(|byte| *byte == b'\n')?;
                let line = self.take(end + 1)?;
                let digits = std::str::from_utf8(line)
                    .ok()?
                    .trim_end()
                    .trim_end_matches('L');
                whole(digits.parse().ok()?)?
            }
            _ => {
                let count = self.length(1)?;
                let bytes = self.take(count)?;
                let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
                let mut wide = [if is_negative { 0xff } else { 0 }; 16];
                wide.get_mut(..count)?.copy_from_slice(bytes);
                whole(i128::from_le_bytes(wide))?
            }
        })
    }

    fn text(&mut self, opcode: u8) -> Option<String> {
        let length = self.length(match opcode {
            0x8c => 1,
            b'X' => 4,
            _ => 8,
        })?;
        Some(std::str::from_utf8(self.take(length)?).ok()?.to_owned())
    }

    fn tuple(&mut self, count: usize) -> Option<()> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.list(items)
    }

    fn list(&mut self, items: Vec<(Value, usize)>) -> Option<()> {
        let (items, depths): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        self.push_around(Value::Array(items), 1 + deepest(&depths))
    }

    fn append(&mut self, opcode: u8) -> Option<()> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            _ => self.since_mark()?,
        };
        let (items, depths): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        self.fill(deepest(&depths))?.as_array_mut()?.extend(items);
        Some(())
    }

    fn set(&mut self, opcode: u8) -> Option<()> {
        let items = match opcode {
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let (items, depths): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let object = self.fill(deepest(&depths))?.as_object_mut()?;
        for pair in items.chunks(2) {
            let [key, value] = pair else { return None };
            object.insert(key.as_str()?.to_owned(), value.clone());
        }
        Some(())
    }

    fn remember(&mut self, opcode: u8) -> Option<()> {
        let place = match opcode {
            b'q' => Some(self.length(1)?),
            b'r' => Some(self.length(4)?),
            _ => None,
        };
        let Part::Value(value, _) = self.stack.last()? else {
            return None;
        };
        // What is remembered before it is filled is a list that may contain itself: nobody here writes such.
        let value = (!value.is_array() && !value.is_object()).then(|| value.clone());
        let bytes = value.as_ref().and_then(Value::as_str).map_or(1, str::len);
        self.budget = self.budget.checked_sub(bytes)?;
        match place {
            Some(place) if place != self.memo.len() => None,
            Some(_) | None => {
                self.memo.push(value);
                Some(())
            }
        }
    }

    fn recall(&mut self, opcode: u8) -> Option<()> {
        let place = self.length(if opcode == b'h' { 1 } else { 4 })?;
        // A list or a dictionary may have been filled since.
        let value = self.memo.get(place)?.clone()?;
        let bytes = value.as_str().map_or(0, str::len);
        self.budget = self.budget.checked_sub(bytes)?;
        self.push(value)
    }
}

fn deepest(depths: &[usize]) -> usize {
    depths.iter().copied().max().unwrap_or(0)
}

/// A whole number, if JSON readers here take it.
fn whole(number: i128) -> Option<Value> {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Some(number.into()),
        (_, Ok(number)) => Some(number.into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "unpickle_tests.rs"]
mod tests;
