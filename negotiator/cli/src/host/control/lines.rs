//! JSON objects, one per line, of bounded length.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// Reads objects.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

/// Why there is no next object.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// The stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The line is no such object.
    #[error("not understood: {0}")]
    Json(#[from] serde_json::Error),
    /// The line is longer than any object.
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self { reader: BufReader::new(stream), line: Vec::new() }
    }

    /// Waits for the next object; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`BadLine`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a line that has arrived in part is kept.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BadLine> {
        loop {
            let there = self.reader.fill_buf().await?;
            if there.is_empty() {
                return Ok(None);
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            self.line.extend_from_slice(&there[..taken]);
            self.reader.consume(taken);
            if self.line.len() > MAX_LINE {
                return Err(BadLine::TooLong);
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return Ok(Some(serde_json::from_slice(&line)?));
            }
        }
    }
}

/// Writes one object.
///
/// # Errors
///
/// [`io::Error`] of the stream.
pub async fn write<W: AsyncWrite + Unpin>(stream: &mut W, object: &impl Serialize) -> io::Result<()> {
    stream.write_all(&line(object)?).await?;
    stream.flush().await
}

/// Returns the line of an object.
///
/// # Errors
///
/// [`io::Error`] for an object that JSON cannot hold.
pub fn line(object: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    Ok(line)
}

/// The longest line: a message of 60 KiB in base64, or a session that is full, and as much again.
const MAX_LINE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut_and_long_ones_not_at_all() {
        let (mut near, far) = tokio::io::duplex(7);
        let mut reader = LineReader::new(far);
        let writing = tokio::spawn(async move {
            for number in 0..20_u32 {
                write(&mut near, &vec![number; 3]).await.unwrap();
            }
            near.write_all(b"nonsense\n").await.unwrap();
            let _ = near.write_all(&vec![b'1'; MAX_LINE + 1]).await;
        });
        for number in 0..20_u32 {
            assert_eq!(reader.next::<Vec<u32>>().await.unwrap(), Some(vec![number; 3]));
        }
        assert!(matches!(reader.next::<Vec<u32>>().await, Err(BadLine::Json(_))));
        assert!(matches!(reader.next::<Vec<u32>>().await, Err(BadLine::TooLong)));
        drop(reader);
        writing.await.unwrap();
    }
}
