//! One conversation with a mail server, without a socket: what it answers goes in, what to say and to log comes out.
//!
//! ```text
//! connect ─▶ 220 ─▶ HELO 250 ─▶ MAIL 250 ─▶ RCPT 250 (each) ─▶ DATA 354 ─▶ headers, body 250 ─▶ QUIT 221
//!                    └──────────── any other code, silence, too much ──────────────────────────▶ QUIT, whatever ─▶ end
//! ```
//! A server can cost no more than [`LINE_MAX`] bytes of memory, [`REPLY_MAX`] bytes an answer, and one timeout an answer: the
//! deadline stands from the moment of the command, however slowly the answer drips.

use super::mail::{Mail, Settings, path};

/// A line of this many bytes is no answer.
pub const LINE_MAX: usize = 1024;
/// An answer of this many bytes in however many lines is none either.
pub const REPLY_MAX: usize = 65_536;

/// What the next answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connect,
    Greeting,
    Helo,
    Mail,
    /// The recipient of that position.
    Rcpt(usize),
    Data,
    Body,
    Quit,
    Over,
}

impl Stage {
    /// The code that lets the conversation go on, and the word for it in the log.
    const fn expects(self) -> (i32, &'static str) {
        match self {
            Self::Connect | Self::Greeting => (220, "(E)SMTP"),
            Self::Helo => (250, "HELO"),
            Self::Mail => (250, "MAIL"),
            Self::Rcpt(_) => (250, "RCPT"),
            Self::Data => (354, "DATA"),
            Self::Body => (250, "BODY"),
            Self::Quit | Self::Over => (221, "QUIT"),
        }
    }
}

/// Something for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection stands (a detail).
    Connected,
    /// The server has taken the mail (a detail).
    Sent,
    /// The connection was refused or found no way.
    Refused,
    /// Nobody answered the connection.
    ConnectTimeout,
    /// The server does not answer.
    ReadTimeout,
    /// The connection broke.
    ReadError,
    /// Nothing can be sent.
    SendError,
    /// The server has hung up.
    Closed,
    /// The answer is too long.
    Overflow,
    /// The answer to a command was not the one that was hoped for.
    Answer(&'static str, i32),
}

impl Notice {
    /// Only with `-D`.
    pub const fn detail(self) -> bool {
        matches!(self, Self::Connected | Self::Sent)
    }

    /// The line; `host` is the server as `[address]:port`.
    pub fn text(self, host: &str) -> String {
        match self {
            Self::Connected => format!("Remote SMTP server {host} connected."),
            Self::Sent => "SMTP alert successfully sent.".to_owned(),
            Self::Refused => format!("SMTP connection ERROR to {host}."),
            Self::ConnectTimeout => {
                format!("Timeout opening connection to remote SMTP server {host}.")
            }
            Self::ReadTimeout => format!("Timeout reading data to remote SMTP server {host}."),
            Self::ReadError => format!("Error reading data from remote SMTP server {host}."),
            Self::SendError => format!("Cannot send data to remote SMTP server {host}."),
            Self::Closed => format!("Remote SMTP server {host} has closed the connection."),
            Self::Overflow => format!(
                "Received buffer from remote SMTP server {host} overflow our get read buffer length."
            ),
            Self::Answer(command, status) => format!(
                "Error processing {command} cmd on SMTP server {host}. SMTP status code = {status}"
            ),
        }
    }
}

/// What to say next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// `HELO`
    Helo,
    /// `MAIL FROM`
    Mail,
    /// `RCPT TO`, for the recipient of that position.
    Rcpt(usize),
    /// `DATA`
    Data,
    /// The mail itself.
    Body,
    /// `QUIT`
    Quit,
}

impl Say {
    /// As text; `date` is asked for the date of the mail.
    pub fn text(self, settings: &Settings, mail: &Mail, date: impl FnOnce() -> String) -> String {
        match self {
            Self::Helo => format!("HELO {}\r\n", settings.helo),
            Self::Mail => format!("MAIL FROM:{}\r\n", path(&settings.from)),
            Self::Rcpt(n) => {
                let to = settings.to.get(n).map_or("", String::as_str);
                format!("RCPT TO:{}\r\n", path(to))
            }
            Self::Data => "DATA\r\n".to_owned(),
            Self::Body => mail.data(settings, &date()),
            Self::Quit => "QUIT\r\n".to_owned(),
        }
    }
}

/// What follows from what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Log it.
    Log(Notice),
    /// Say it; the deadline starts anew.
    Say(Say),
    /// Hang up: the conversation is over.
    Close,
}

/// One conversation.
#[derive(Debug)]
pub struct Dialogue {
    stage: Stage,
    recipients: usize,
    /// The line that has begun.
    line: Vec<u8>,
    /// Bytes of the present answer.
    reply: usize,
}

impl Dialogue {
    /// For a mail to that many recipients.
    pub const fn new(recipients: usize) -> Self {
        Self {
            stage: Stage::Connect,
            recipients,
            line: Vec::new(),
            reply: 0,
        }
    }

    /// The connection stands: the server speaks first, within a new deadline.
    pub fn connected(&mut self) -> Step {
        self.stage = Stage::Greeting;
        Step::Log(Notice::Connected)
    }

    /// The connection could not be had.
    pub fn refused(&mut self) -> [Step; 2] {
        self.over(Notice::Refused)
    }

    /// Reading failed: the original says good-bye all the same, and hears that this fails too.
    pub fn broken(&mut self) -> [Step; 2] {
        self.over(Notice::ReadError)
    }

    /// Sending failed.
    pub fn unsent(&mut self) -> [Step; 2] {
        self.over(Notice::SendError)
    }

    /// The server has hung up.
    pub fn closed(&mut self) -> [Step; 2] {
        self.over(Notice::Closed)
    }

    /// The deadline has passed.
    pub fn timed_out(&mut self) -> [Step; 2] {
        match self.stage {
            Stage::Connect => self.over(Notice::ConnectTimeout),
            Stage::Quit | Stage::Over => self.over(Notice::ReadTimeout),
            _ => [Step::Log(Notice::ReadTimeout), self.quit()],
        }
    }

    fn over(&mut self, notice: Notice) -> [Step; 2] {
        self.stage = Stage::Over;
        [Step::Log(notice), Step::Close]
    }

    fn quit(&mut self) -> Step {
        self.stage = Stage::Quit;
        self.line = Vec::new();
        self.reply = 0;
        Step::Say(Say::Quit)
    }

    /// The server said something.
    pub fn received(&mut self, bytes: &[u8], steps: &mut Vec<Step>) {
        for byte in bytes {
            if self.stage == Stage::Over {
                return;
            }
            self.line.push(*byte);
            self.reply = self.reply.saturating_add(1);
            if self.line.ends_with(b"\r\n") {
                let line = std::mem::take(&mut self.line);
                self.line_came(&line, steps);
            } else if self.line.len() >= LINE_MAX || self.reply >= REPLY_MAX {
                steps.push(Step::Log(Notice::Overflow));
                if self.stage == Stage::Quit {
                    self.stage = Stage::Over;
                    steps.push(Step::Close);
                } else {
                    steps.push(self.quit());
                }
                // The rest of what came belongs to the same nonsense.
                return;
            }
        }
    }

    fn line_came(&mut self, line: &[u8], steps: &mut Vec<Step>) {
        if line.get(3) == Some(&b'-') {
            return;
        }
        self.reply = 0;
        let status = status(line);
        let (expected, command) = self.stage.expects();
        if status != expected {
            steps.push(Step::Log(Notice::Answer(command, status)));
            if self.stage == Stage::Quit {
                self.stage = Stage::Over;
                steps.push(Step::Close);
            } else {
                steps.push(self.quit());
            }
            return;
        }
        let (stage, step) = match self.stage {
            Stage::Connect | Stage::Greeting => (Stage::Helo, Step::Say(Say::Helo)),
            Stage::Helo => (Stage::Mail, Step::Say(Say::Mail)),
            Stage::Mail => (Stage::Rcpt(0), Step::Say(Say::Rcpt(0))),
            Stage::Rcpt(n) if n.saturating_add(1) < self.recipients => {
                let next = n.saturating_add(1);
                (Stage::Rcpt(next), Step::Say(Say::Rcpt(next)))
            }
            Stage::Rcpt(_) => (Stage::Data, Step::Say(Say::Data)),
            Stage::Data => (Stage::Body, Step::Say(Say::Body)),
            Stage::Body => {
                steps.push(Step::Log(Notice::Sent));
                (Stage::Quit, Step::Say(Say::Quit))
            }
            Stage::Quit | Stage::Over => (Stage::Over, Step::Close),
        };
        self.stage = stage;
        steps.push(step);
    }
}

/// The three digits of an answer. What is no digit counts as the original counts it, so that the log says the same.
fn status(line: &[u8]) -> i32 {
    let digit = |at: usize| {
        let byte = line.get(at).copied().unwrap_or(0);
        i32::from(i8::from_ne_bytes([byte])) - i32::from(b'0')
    };
    digit(0) * 100 + digit(1) * 10 + digit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(dialogue: &mut Dialogue, text: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        dialogue.received(text.as_bytes(), &mut steps);
        steps
    }

    fn greeted() -> Dialogue {
        let mut dialogue = Dialogue::new(2);
        assert_eq!(dialogue.connected(), Step::Log(Notice::Connected));
        dialogue
    }

    #[test]
    fn a_mail_is_sent() {
        let mut d = greeted();
        // Answers come in pieces, and in several lines.
        assert_eq!(hear(&mut d, "220-stub.exam"), []);
        assert_eq!(hear(&mut d, "ple\r\n220 ESMTP\r"), []);
        assert_eq!(hear(&mut d, "\n"), [Step::Say(Say::Helo)]);
        assert_eq!(hear(&mut d, "250 ok\r\n"), [Step::Say(Say::Mail)]);
        assert_eq!(hear(&mut d, "250 ok\r\n"), [Step::Say(Say::Rcpt(0))]);
        assert_eq!(hear(&mut d, "250 ok\r\n"), [Step::Say(Say::Rcpt(1))]);
        assert_eq!(hear(&mut d, "250 ok\r\n"), [Step::Say(Say::Data)]);
        assert_eq!(hear(&mut d, "354 go\r\n"), [Step::Say(Say::Body)]);
        let sent = [Step::Log(Notice::Sent), Step::Say(Say::Quit)];
        assert_eq!(hear(&mut d, "250 queued\r\n"), sent);
        assert_eq!(hear(&mut d, "221 bye\r\n"), [Step::Close]);
        assert_eq!(hear(&mut d, "221 bye\r\n"), []);
    }

    #[test]
    fn another_code_ends_it_politely_once() {
        let mut d = greeted();
        assert_eq!(
            hear(&mut d, "554 no\r\n"),
            [
                Step::Log(Notice::Answer("(E)SMTP", 554)),
                Step::Say(Say::Quit)
            ]
        );
        assert_eq!(
            hear(&mut d, "500 what\r\n"),
            [Step::Log(Notice::Answer("QUIT", 500)), Step::Close]
        );
        let mut d = greeted();
        let steps = hear(&mut d, "HELLO\r\n");
        assert_eq!(
            steps.first(),
            Some(&Step::Log(Notice::Answer("(E)SMTP", 2638)))
        );
        let steps = hear(&mut greeted(), "\r\n");
        assert!(matches!(steps.first(), Some(Step::Log(Notice::Answer(..)))));
    }

    #[test]
    fn silence_costs_one_deadline_before_and_one_after_quit() {
        let mut d = Dialogue::new(1);
        let steps = [Step::Log(Notice::ConnectTimeout), Step::Close];
        assert_eq!(d.timed_out(), steps);
        let mut d = greeted();
        let steps = [Step::Log(Notice::ReadTimeout), Step::Say(Say::Quit)];
        assert_eq!(d.timed_out(), steps);
        let steps = [Step::Log(Notice::ReadTimeout), Step::Close];
        assert_eq!(d.timed_out(), steps);
    }

    #[test]
    fn endless_answers_end() {
        let endless_line = "x".repeat(10 * LINE_MAX);
        let endless_reply = "220-x\r\n".repeat(REPLY_MAX);
        for junk in [endless_line, endless_reply] {
            let mut d = greeted();
            let mut steps = hear(&mut d, &junk);
            steps.extend(hear(&mut d, &junk));
            assert_eq!(
                steps,
                [
                    Step::Log(Notice::Overflow),
                    Step::Say(Say::Quit),
                    Step::Log(Notice::Overflow),
                    Step::Close
                ]
            );
        }
    }
}
