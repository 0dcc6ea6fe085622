//! `SMTP_CHECK`: greeting, HELO, QUIT.
//!
//! ```text
//! ◀ 220 … ─▶ HELO name ─▶ ◀ 250 … ─▶ QUIT ─▶ ◀ any line
//! ```
//! As in the original, the first line of an answer decides, a dash or the end of the line behind the code is a wrong code (so a
//! greeting of several lines fails), and what came in the same piece as a line is dropped with it.
//! Answers to: keepalived 2.3.3 check/check_smtp.c.

use alloc::format;
use alloc::vec::Vec;

use super::decimal;
use crate::verdict::SmtpFailure;

/// A line of so many bytes is too long: its beginning is forgotten.
pub const LINE_MAX: usize = 511;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Helo,
    Quit,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More has to come.
    Read,
    /// This has to be sent; then more has to come.
    Send(Vec<u8>),
    /// The server works.
    Up,
    /// It does not.
    Down(SmtpFailure),
}

/// One conversation, from the connection on.
#[derive(Clone, Debug)]
pub struct Dialogue {
    stage: Stage,
    helo: Vec<u8>,
    line: Vec<u8>,
}

impl Dialogue {
    /// With the name to say.
    pub fn new(name: &str) -> Self {
        let mut helo = format!("HELO {name}\r\n").into_bytes();
        helo.truncate(LINE_MAX);
        Self {
            stage: Stage::Greeting,
            helo,
            line: Vec::new(),
        }
    }

    /// How much may come at once, and whether room had to be made for it by forgetting what came: worth a line in the log.
    pub fn room(&mut self) -> (usize, bool) {
        let full = self.line.len() >= LINE_MAX;
        if full {
            self.line.clear();
        }
        (LINE_MAX.saturating_sub(self.line.len()), full)
    }

    /// Takes what came; what is more than [`Self::room`] is not looked at.
    pub fn take(&mut self, bytes: &[u8]) -> Next {
        let (room, _) = self.room();
        self.line
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let text = self.line.split(|c| *c == 0).next().unwrap_or_default();
        let Some(end) = text.iter().position(|c| *c == b'\n') else {
            return Next::Read;
        };
        let code = code(text.get(..end).unwrap_or_default());
        self.line.clear();
        match self.stage {
            Stage::Greeting if code == Some(220) => {
                self.stage = Stage::Helo;
                Next::Send(self.helo.clone())
            }
            Stage::Greeting => Next::Down(SmtpFailure::Banner),
            Stage::Helo if code == Some(250) => {
                self.stage = Stage::Quit;
                Next::Send(b"QUIT\r\n".to_vec())
            }
            Stage::Helo => Next::Down(SmtpFailure::Helo),
            Stage::Quit => Next::Up,
        }
    }
}

/// Three characters that are a number, with a blank or nothing behind them.
fn code(line: &[u8]) -> Option<u64> {
    match decimal(line) {
        (code, 3) if matches!(line.get(3), None | Some(b' ')) => Some(code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation() {
        let mut smtp = Dialogue::new("checker.example");
        assert_eq!(smtp.take(b"220 mail."), Next::Read);
        assert_eq!(
            smtp.take(b"example\r\n"),
            Next::Send(b"HELO checker.example\r\n".to_vec())
        );
        assert_eq!(
            smtp.take(b"250 hello\r\nmore"),
            Next::Send(b"QUIT\r\n".to_vec())
        );
        assert_eq!(smtp.take(b"421 whatever\n"), Next::Up);
    }

    #[test]
    fn codes() {
        for (line, wanted) in [
            ("220 x\n", true),
            ("220\n", true),
            (" 20 x\n", false),
            ("220\r\n", false),
            ("220-x\r\n220 y\r\n", false),
            ("2200 x\n", false),
            ("\n", false),
            ("554 no\r\n", false),
        ] {
            let next = Dialogue::new("x").take(line.as_bytes());
            assert_eq!(matches!(next, Next::Send(_)), wanted, "{line:?}");
        }
    }

    #[test]
    fn endless_lines_and_zeros_cost_no_memory() {
        let mut smtp = Dialogue::new(&"x".repeat(2000));
        assert_eq!(smtp.helo.len(), LINE_MAX);
        let mut overflows = 0;
        for _ in 0..10_000 {
            let (room, full) = smtp.room();
            overflows += u32::from(full);
            assert!((1..=LINE_MAX).contains(&room));
            assert_eq!(smtp.take(b"aaaaaaaaa"), Next::Read);
            assert!(smtp.line.len() <= LINE_MAX);
        }
        assert!(overflows > 100);
        // A line behind a zero is not seen.
        let mut smtp = Dialogue::new("x");
        assert_eq!(smtp.take(b"\x00220 x\r\n"), Next::Read);
    }
}
