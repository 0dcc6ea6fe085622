//! Alerts by mail (RFC 5321, as far as keepalived goes).
//!
//! In: whom a mail is about and what it says; the settings of global_defs; what the server answers; the time.
//! Out: one connection per mail, log lines. A few connections at a time, the other mails wait their turn.
//! Who may use it: the VRRP process and the health checkers, each with a [`Mailer`] of its own.
//! Answers to: keepalived 2.3.3 core/smtp.c, keepalived-behaviour.md section 5; recorded conversations 361, 362 and 364.
//!
//! ```text
//! mail      subject, body, headers, addresses        dialogue  what to say next, and when to give up
//! send      sockets, queue, deadlines
//! ```

pub mod dialogue;
pub mod mail;
pub mod send;

pub use mail::{About, Mail, Settings};
pub use send::Mailer;
