//! What a collector gets, as far as tests read it: protobuf by hand, for want of a library that only they would need.
//!
//! Numbers of fields and of kinds are those of OTLP 1 (`trace/v1/trace.proto`, `common/v1/common.proto`).

use anyhow::Context;

/// Kind of a span that sends a task.
pub(super) const PRODUCER: u64 = 4;
/// Kind of a span that runs a task.
pub(super) const CONSUMER: u64 = 5;
/// Status of a span that failed.
pub(super) const ERROR: u64 = 2;

/// A span, and whose it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    pub(super) program: String,
    pub(super) trace_id: Vec<u8>,
    pub(super) span_id: Vec<u8>,
    pub(super) trace_state: String,
    pub(super) parent_id: Vec<u8>,
    pub(super) name: String,
    pub(super) kind: u64,
    pub(super) status: u64,
    attributes: Vec<(String, String)>,
}

impl Span {
    /// All of one request.
    pub(super) fn all(request: &[u8]) -> anyhow::Result<Vec<Self>> {
        let mut spans = Vec::new();
        for of in bytes(&fields(request)?, 1) {
            let of = fields(of)?;
            let resource = bytes(&of, 1).next().context("a resource")?;
            let resource = attributes(&fields(resource)?, 1)?;
            let name = resource.into_iter().find(|(key, _)| key == "service.name");
            let (_, program) = name.context("a program's name")?;
            for scope in bytes(&of, 2) {
                for span in bytes(&fields(scope)?, 2) {
                    spans.push(Self::read(span, &program)?);
                }
            }
        }
        Ok(spans)
    }

    fn read(span: &[u8], program: &str) -> anyhow::Result<Self> {
        let all = fields(span)?;
        let id = |number| bytes(&all, number).next().unwrap_or_default().to_vec();
        let text = |number| String::from_utf8(id(number));
        let status = fields(bytes(&all, 15).next().unwrap_or_default())?;
        Ok(Self {
            program: program.to_owned(),
            trace_id: id(1),
            span_id: id(2),
            trace_state: text(3)?,
            parent_id: id(4),
            name: text(5)?,
            kind: number(&all, 6),
            status: number(&status, 3),
            attributes: attributes(&all, 9)?,
        })
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter();
        found.find_map(|(key, value)| (key == name).then_some(&**value))
    }

    pub(super) fn is(&self, program: &str, name: &str) -> bool {
        self.program == program && self.name == name
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order.
fn fields(mut rest: &[u8]) -> anyhow::Result<Vec<(u64, Value<'_>)>> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => Value::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?)?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => Value::Bytes(take(&mut rest, 4)?),
            other => anyhow::bail!("protobuf has no type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    Ok(fields)
}

fn varint(rest: &mut &[u8]) -> anyhow::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    anyhow::bail!("a number of more than 64 bits")
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> anyhow::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).context("it was cut off")?;
    *rest = left;
    Ok(taken)
}

/// The value of each field with this number that has a length.
fn bytes<'a>(fields: &[(u64, Value<'a>)], number: u64) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter_map(move |(of, value)| match value {
        Value::Bytes(bytes) if *of == number => Some(*bytes),
        Value::Bytes(_) | Value::Number(_) => None,
    })
}

/// 0 where there is none, as protobuf has it.
fn number(fields: &[(u64, Value<'_>)], number: u64) -> u64 {
    let found = fields.iter().find_map(|(of, value)| match value {
        Value::Number(value) if *of == number => Some(*value),
        Value::Number(_) | Value::Bytes(_) => None,
    });
    found.unwrap_or_default()
}

/// Names and texts; what is no text is empty.
fn attributes(
    of: &[(u64, Value<'_>)],
    number: u64,
) -> Result<Vec<(String, String)>, anyhow::Error> {
    let text = |of: Option<&[u8]>| String::from_utf8(of.unwrap_or_default().to_vec());
    let pair = |pair: &[u8]| {
        let pair = fields(pair)?;
        let value = fields(bytes(&pair, 2).next().unwrap_or_default())?;
        anyhow::Ok((
            text(bytes(&pair, 1).next())?,
            text(bytes(&value, 1).next())?,
        ))
    };
    bytes(of, number).map(pair).collect()
}
