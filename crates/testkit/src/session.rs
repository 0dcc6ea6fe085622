//! One TCP session from the LAN to a server behind the routers, numbered lines back and forth, and what became of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Result;
use crate::node::Node;

/// The pause between two lines of the client.
pub const PACE: Duration = Duration::from_millis(50);

/// What is known of the session at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Lines that came back in order.
    pub echoes: u64,
    /// Time since the last line came back.
    pub silent: Duration,
    /// The longest time between two lines that came back, the present silence included.
    pub longest_gap: Duration,
    /// Why the session ended, if it did.
    pub failed: Option<String>,
    /// The client's address as the server sees it: the routers' translated one.
    pub seen_as: Option<SocketAddr>,
}

#[derive(Debug)]
struct State {
    echoes: u64,
    last: Instant,
    longest: Duration,
    failed: Option<String>,
    seen_as: Option<SocketAddr>,
    stop: bool,
}

/// A session in progress; it ends with this value.
#[derive(Debug)]
pub struct Session {
    state: Arc<Mutex<State>>,
}

impl Session {
    /// Starts a server on `server` at `to` and a client on `client`, and waits for the first line to come back.
    ///
    /// # Errors
    /// When the server can not listen or the client can not connect.
    pub fn open(client: &Node, server: &Node, to: SocketAddr) -> Result<Self> {
        Self::through(client, to, server, to)
    }

    /// The same, with a client that connects to `service`, which somebody in between leads to the server at `to`.
    ///
    /// # Errors
    /// As with [`Self::open`].
    pub fn through(
        client: &Node,
        service: SocketAddr,
        server: &Node,
        to: SocketAddr,
    ) -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            echoes: 0,
            last: Instant::now(),
            longest: Duration::ZERO,
            failed: None,
            seen_as: None,
            stop: false,
        }));
        let shared = Arc::clone(&state);
        server
            .call(move || serve(to, shared))?
            .map_err(|e| format!("server at {to}: {e}"))?;
        let shared = Arc::clone(&state);
        client
            .call(move || connect(service, shared))?
            .map_err(|e| format!("client to {service}: {e}"))?;
        let session = Self { state };
        let end = Instant::now() + Duration::from_secs(5);
        while session.report().echoes == 0 {
            if Instant::now() > end {
                return Err(format!("no line came back from {service} in 5 s"));
            }
            std::thread::sleep(PACE);
        }
        Ok(session)
    }

    /// How it stands now.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = lock(&self.state);
        let silent = state.last.elapsed();
        Report {
            echoes: state.echoes,
            silent,
            longest_gap: state.longest.max(silent),
            failed: state.failed.clone(),
            seen_as: state.seen_as,
        }
    }

    /// Starts measuring the longest gap anew.
    pub fn reset_gap(&self) {
        lock(&self.state).longest = Duration::ZERO;
    }

    /// Waits until lines come back again, and gives the longest gap since [`Self::reset_gap`].
    ///
    /// # Errors
    /// When the session ended or stays silent for `limit`.
    pub fn wait_alive(&self, limit: Duration) -> Result<Duration> {
        let (end, before) = (Instant::now() + limit, self.report().echoes);
        loop {
            let now = self.report();
            if let Some(why) = now.failed {
                return Err(format!("the session died: {why}"));
            }
            if now.echoes >= before.saturating_add(10) {
                return Ok(now.longest_gap);
            }
            if Instant::now() > end {
                return Err(format!(
                    "the session is silent for {:.1} s",
                    now.silent.as_secs_f64()
                ));
            }
            std::thread::sleep(PACE);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.state).stop = true;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(state: &Mutex<State>, why: String) {
    let mut state = lock(state);
    if !state.stop {
        state.failed.get_or_insert(why);
    }
}

/// Accepts one client and sends every line back.
fn serve(at: SocketAddr, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let listener = TcpListener::bind(at)?;
    // A thread started here lives in the node's namespaces, as its parent does.
    std::thread::spawn(move || {
        let echo = || -> std::io::Result<()> {
            let (mut stream, peer) = listener.accept()?;
            lock(&state).seen_as = Some(peer);
            let mut lines = BufReader::new(stream.try_clone()?);
            let mut line = String::new();
            while lines.read_line(&mut line)? > 0 {
                stream.write_all(line.as_bytes())?;
                line.clear();
            }
            Ok(())
        };
        if let Err(e) = echo() {
            end(&state, format!("server: {e}"));
        }
    });
    Ok(())
}

/// Connects, then writes numbered lines in one thread and checks them in another.
fn connect(to: SocketAddr, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    let (mut out, input) = (stream.try_clone()?, stream);
    let writer = Arc::clone(&state);
    std::thread::spawn(move || {
        for number in 0u64.. {
            if lock(&writer).stop {
                // The peer ends when the socket closes; an error now is of no interest.
                let _closing = out.shutdown(std::net::Shutdown::Both);
                return;
            }
            if let Err(e) = out.write_all(format!("{number}\n").as_bytes()) {
                return end(&writer, format!("client: {e}"));
            }
            std::thread::sleep(PACE);
        }
    });
    std::thread::spawn(move || {
        for (number, line) in BufReader::new(input).lines().enumerate() {
            match line {
                Ok(text) if text == number.to_string() => {
                    let mut state = lock(&state);
                    state.longest = state.longest.max(state.last.elapsed());
                    state.last = Instant::now();
                    state.echoes = state.echoes.saturating_add(1);
                }
                Ok(text) => return end(&state, format!("line {number} came back as {text:?}")),
                Err(e) => return end(&state, format!("client: {e}")),
            }
        }
        end(&state, "the server closed the session".to_owned());
    });
    Ok(())
}
