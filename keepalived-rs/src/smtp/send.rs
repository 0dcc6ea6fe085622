//! Sending: a few connections at a time, the other mails wait.
//!
//! The owner watches [`Mailer::readable`] and calls [`Mailer::ready`] when it is; [`Mailer::handle_timeout`] when
//! [`Mailer::next_timeout`] has come. Nothing here waits.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::text::encode;
use daemon_rt::log::Priority;
use linux_io::epoll::{ReadSet, Wait};
use linux_io::local_time::LocalTime;
use linux_io::tcp_sock;
use net_types::Instant;

use super::dialogue::{Dialogue, Notice, Step};
use super::mail::{About, Mail, Settings};

/// Connections at a time. The original opens one for each mail at once; a thousand instances must not use up the
/// descriptors, nor the server's patience.
const OPEN_MAX: usize = 32;
/// Mails that wait. Enough for every instance to tell of some changes while the server does not answer.
const WAITING_MAX: usize = 4096;
/// Bytes of one look at an answer.
const READ_LEN: usize = 1024;
/// Looks at one connection in one turn.
const READS_AT_ONCE: usize = 4;

/// One connection and its mail.
#[derive(Debug)]
struct Sending {
    token: u32,
    stream: TcpStream,
    connecting: bool,
    dialogue: Dialogue,
    settings: Rc<Settings>,
    mail: Mail,
    /// What the server has not taken yet.
    unsent: Vec<u8>,
    waits: Wait,
    deadline: Instant,
    over: bool,
}

/// The mail of one process.
#[derive(Debug)]
pub struct Mailer {
    settings: Option<Rc<Settings>>,
    set: Option<ReadSet>,
    open: Vec<Sending>,
    waiting: VecDeque<Mail>,
    next_token: u32,
    detail: bool,
}

fn log(notice: Notice, settings: &Settings, detail: bool) {
    if detail || !notice.detail() {
        daemon_rt::log!(Priority::Info, "{}", notice.text(&settings.host()));
    }
}

impl Mailer {
    /// Sends nothing before [`Self::configure`]. `detail`: log lines of `-D`. Without a set of descriptors there is no mail, which is
    /// logged.
    pub fn new(detail: bool) -> Self {
        let set = ReadSet::new();
        if let Err(e) = &set {
            daemon_rt::log!(Priority::Err, "No mail can be sent - {e}");
        }
        Self {
            settings: None,
            set: set.ok(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            next_token: 0,
            detail,
        }
    }

    /// The settings from now on: for mails that wait, too. Those on their way end as they began.
    pub fn configure(&mut self, global: &Global) {
        self.settings = Settings::of(global).map(Rc::new);
        if self.settings.is_none() {
            self.waiting.clear();
        }
    }

    /// Whether mail is configured.
    pub const fn is_on(&self) -> bool {
        self.settings.is_some()
    }

    /// To be watched for reading; none if there is no mail at all.
    pub const fn readable(&self) -> Option<&ReadSet> {
        self.set.as_ref()
    }

    /// Sends a mail, if mail is configured.
    pub fn send(&mut self, now: Instant, about: About<'_>, what: &str, body: &str) {
        let Some(settings) = &self.settings else {
            return;
        };
        if self.waiting.len() >= WAITING_MAX {
            daemon_rt::log!(
                Priority::Err,
                "SMTP alert lost - {WAITING_MAX} are waiting for {}",
                settings.host()
            );
            return;
        }
        self.waiting
            .push_back(Mail::new(settings, about, what, body));
        self.begin(now);
    }

    /// Whether a mail is on its way or waits.
    pub fn busy(&self) -> bool {
        !self.open.is_empty() || !self.waiting.is_empty()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.open.iter().map(|s| s.deadline).min()
    }

    /// Ends what takes too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let detail = self.detail;
        let mut any = false;
        for sending in self.open.iter_mut().filter(|s| s.deadline <= now) {
            any = true;
            let steps = sending.dialogue.timed_out();
            sending.follow(now, &steps, detail);
        }
        if any {
            self.tidy(now);
        }
    }

    /// Looks at the connections that have something. `WouldBlock` when none has.
    pub fn ready(&mut self, now: Instant) -> io::Result<()> {
        let Some(set) = &self.set else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let mut tokens = Vec::new();
        set.ready(&mut tokens)?;
        if tokens.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let detail = self.detail;
        for sending in self.open.iter_mut().filter(|s| tokens.contains(&s.token)) {
            sending.ready(now, detail);
        }
        self.tidy(now);
        Ok(())
    }

    /// Closes what is over, tells the set what is waited for, begins what waits.
    fn tidy(&mut self, now: Instant) {
        // Closing a socket takes it out of the set.
        self.open.retain(|s| !s.over);
        if let Some(set) = &self.set {
            for sending in &mut self.open {
                let wait = sending.wait();
                if wait != sending.waits && set.change(&sending.stream, sending.token, wait).is_ok()
                {
                    sending.waits = wait;
                }
            }
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Instant) {
        let (Some(settings), Some(set)) = (&self.settings, &self.set) else {
            return;
        };
        while self.open.len() < OPEN_MAX {
            let Some(mail) = self.waiting.pop_front() else {
                return;
            };
            let token = self.next_token;
            self.next_token = token.wrapping_add(1);
            let mut sending = match tcp_sock::connect(settings.server) {
                Ok((stream, connected)) => Sending {
                    token,
                    stream,
                    connecting: true,
                    dialogue: Dialogue::new(settings.to.len()),
                    settings: Rc::clone(settings),
                    mail,
                    unsent: Vec::new(),
                    waits: if connected { Wait::Read } else { Wait::Write },
                    deadline: now + settings.timeout,
                    over: false,
                },
                Err(_) => {
                    log(Notice::Refused, settings, self.detail);
                    continue;
                }
            };
            if sending.waits == Wait::Read {
                sending.connected(now, self.detail);
            }
            match set.add_for(&sending.stream, token, sending.waits) {
                Ok(()) => self.open.push(sending),
                Err(_) => log(Notice::Refused, settings, self.detail),
            }
        }
    }
}

impl Sending {
    fn wait(&self) -> Wait {
        if self.connecting || !self.unsent.is_empty() {
            Wait::Write
        } else {
            Wait::Read
        }
    }

    fn connected(&mut self, now: Instant, detail: bool) {
        self.connecting = false;
        let step = self.dialogue.connected();
        self.deadline = now + self.settings.timeout;
        self.follow(now, &[step], detail);
    }

    fn ready(&mut self, now: Instant, detail: bool) {
        if self.connecting {
            return match self.stream.take_error() {
                Ok(None) => self.connected(now, detail),
                Ok(Some(_)) | Err(_) => {
                    let steps = self.dialogue.refused();
                    self.follow(now, &steps, detail);
                }
            };
        }
        if !self.unsent.is_empty() {
            return self.flush(now, detail);
        }
        let mut buffer = [0; READ_LEN];
        for _ in 0..READS_AT_ONCE {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    let steps = self.dialogue.closed();
                    return self.follow(now, &steps, detail);
                }
                Ok(n) => {
                    let mut steps = Vec::new();
                    let heard = buffer.get(..n).unwrap_or_default();
                    self.dialogue.received(heard, &mut steps);
                    self.follow(now, &steps, detail);
                    if self.over || n < buffer.len() {
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    let steps = self.dialogue.broken();
                    return self.follow(now, &steps, detail);
                }
            }
        }
    }

    fn follow(&mut self, now: Instant, steps: &[Step], detail: bool) {
        for step in steps {
            match step {
                Step::Log(notice) => log(*notice, &self.settings, detail),
                Step::Say(say) => {
                    let date = || LocalTime::now().mail_date();
                    let text = say.text(&self.settings, &self.mail, date);
                    self.unsent.extend(encode(&text));
                    self.deadline = now + self.settings.timeout;
                    self.flush(now, detail);
                }
                Step::Close => self.over = true,
            }
            if self.over {
                return;
            }
        }
    }

    /// Sends as much as the server takes.
    fn flush(&mut self, now: Instant, detail: bool) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n.min(self.unsent.len()))),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.unsent = Vec::new();
                    let steps = self.dialogue.unsent();
                    return self.follow(now, &steps, detail);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mail::tests::settings;
    use super::*;
    use linux_io::timer::monotonic_now;
    use net_types::Duration;
    use std::io::{BufRead as _, BufReader};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    fn mailer(server: SocketAddr, timeout: Duration) -> Mailer {
        let mut mailer = Mailer::new(true);
        let settings = Settings {
            timeout,
            ..settings(server)
        };
        mailer.settings = Some(Rc::new(settings));
        mailer
    }

    fn write(mailer: &mut Mailer, name: &str) {
        let about = About::Instance(name);
        mailer.send(
            monotonic_now(),
            about,
            "Entering MASTER state",
            "=> body <=",
        );
    }

    /// Until nothing is left to do.
    fn drive(mailer: &mut Mailer) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd as _;
        while mailer.busy() {
            let mut fds = [PollFd::new(
                mailer.readable().unwrap().as_fd(),
                PollFlags::POLLIN,
            )];
            poll(&mut fds, PollTimeout::from(5u8)).unwrap();
            let now = monotonic_now();
            let _ = mailer.ready(now);
            mailer.handle_timeout(now);
        }
    }

    /// A server that takes `count` mails and gives back what was said in each.
    fn server(count: usize) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = thread::spawn(move || {
            let talks: Vec<_> = (0..count)
                .map(|_| {
                    let (mut stream, _) = listener.accept().unwrap();
                    thread::spawn(move || {
                        stream.write_all(b"220-stub\r\n220 ESMTP\r\n").unwrap();
                        let mut said = String::new();
                        let (mut data, mut reader) = (false, BufReader::new(&stream));
                        let mut line = String::new();
                        while reader.read_line(&mut line).unwrap() > 0 {
                            said.push_str(&line);
                            let answer = match line.as_str() {
                                "DATA\r\n" => "354 go\r\n",
                                ".\r\n" => "250 queued\r\n",
                                "QUIT\r\n" => "221 bye\r\n",
                                _ if data => "",
                                _ => "250 ok\r\n",
                            };
                            data =
                                (data || answer.starts_with('3')) && !answer.starts_with("250 q");
                            (&stream).write_all(answer.as_bytes()).unwrap();
                            line.clear();
                        }
                        said
                    })
                })
                .collect();
            talks.into_iter().map(|t| t.join().unwrap()).collect()
        });
        (address, handle)
    }

    #[test]
    fn more_mails_than_connections_all_arrive() {
        const MAILS: usize = 2 * OPEN_MAX + 3;
        let (address, handle) = server(MAILS);
        let mut mailer = mailer(address, Duration::from_secs(20));
        for n in 0..MAILS {
            write(&mut mailer, &format!("I{n}"));
        }
        assert_eq!(mailer.open.len(), OPEN_MAX);
        drive(&mut mailer);
        let said = handle.join().unwrap();
        for n in 0..MAILS {
            let subject = format!("Subject: [a] VRRP Instance I{n} - Entering MASTER state\r\n");
            assert_eq!(said.iter().filter(|s| s.contains(&subject)).count(), 1);
        }
        let one = said.first().unwrap();
        assert!(
            one.starts_with(
                "HELO localhost\r\nMAIL FROM:<keepalived@example.com>\r\nRCPT TO:<admin@example.com>\r\n\
                 RCPT TO:<second@example.com>\r\nDATA\r\nDate: "
            ),
            "{one}"
        );
        assert!(
            one.ends_with("\r\n\r\n=> body <=\r\n\r\n.\r\nQUIT\r\n"),
            "{one}"
        );
    }

    #[test]
    fn servers_that_refuse_hang_or_chatter_are_given_up() {
        // Nobody listens.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut refused = mailer(address, Duration::from_secs(20));
        write(&mut refused, "A");
        drive(&mut refused);
        // Connected by the kernel, and then silence.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut waits = mailer(silent.local_addr().unwrap(), Duration::from_millis(20));
        write(&mut waits, "A");
        drive(&mut waits);
        // Talks for ever and never listens.
        let chatter = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = chatter.local_addr().unwrap();
        let handle = thread::spawn(move || {
            let (mut stream, _) = chatter.accept().unwrap();
            while stream.write_all(&[b'2'; 4096]).is_ok() {}
        });
        let mut annoyed = mailer(address, Duration::from_secs(20));
        write(&mut annoyed, "A");
        drive(&mut annoyed);
        handle.join().unwrap();
    }

    #[test]
    fn without_a_server_nothing_is_sent() {
        let mut mailer = Mailer::new(false);
        write(&mut mailer, "A");
        assert!(!mailer.busy() && !mailer.is_on());
        assert_eq!(mailer.next_timeout(), None);
    }
}
