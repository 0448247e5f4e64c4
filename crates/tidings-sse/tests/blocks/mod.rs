//! Event streams, read as strictly as WIRE.md promises them: lines end in LF alone, each block has an id and data.

/// What one block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) id: String,
    pub(crate) event: Option<String>,
    pub(crate) data: String,
}

/// The blocks of a stream that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    rest: Vec<u8>,
    /// The last `retry` that was read.
    pub(crate) retry: Option<u64>,
    /// How many comments were read.
    pub(crate) comments: usize,
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
}

impl Blocks {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next whole block. What is left of a block that was cut counts for nothing.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, String> {
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8(line).map_err(|error| error.to_string())?;
            let line = line.trim_end_matches('\n');
            if line.contains(['\r', '\0']) {
                return Err(format!("a line holds a control character: {line:?}"));
            }
            if line.is_empty() {
                let (Some(id), Some(data)) = (self.id.take(), self.data.take()) else {
                    return Err("a block ended without an id or without data".to_owned());
                };
                return Ok(Some(Block { id, event: self.event.take(), data }));
            }
            self.field(line)?;
        }
        Ok(None)
    }

    fn field(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).unwrap_or((line, ""));
        let twice = |name: &str| Err(format!("a block has two fields {name}"));
        match name {
            "" => self.comments += 1,
            "retry" => self.retry = Some(value.parse().map_err(|_| format!("retry: {value}"))?),
            "id" if self.id.replace(value.to_owned()).is_some() => return twice("id"),
            "event" if self.event.replace(value.to_owned()).is_some() => return twice("event"),
            "data" if self.data.replace(value.to_owned()).is_some() => return twice("data"),
            "id" | "event" | "data" => {}
            other => return Err(format!("a line begins with {other:?}")),
        }
        Ok(())
    }
}
