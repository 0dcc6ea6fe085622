//! Tokens of conntrackd.conf: the longest match wins, a tie goes to the earlier rule.
//!
//! The rules are those of conntrackd 1.4.8's scanner, odd consequences included, because they decide which files are accepted:
//! a name of up to four hexadecimal digits is an IPv6 address, a path ends only at a blank, a quote or a newline, and
//! a comment needs a newline behind it.

use super::Span;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, by its present name: aliases are resolved here.
    Keyword(&'static str),
    /// `on` or `yes`
    On,
    /// `off` or `no`
    Off,
    /// Digits. Values above the 32-bit range saturate.
    Number(i32),
    /// Digits with a mandatory sign
    Signed,
    /// An IPv4 or IPv6 address, perhaps with a prefix length; not yet checked
    Ip,
    /// Starts with `/`
    Path,
    /// A synchronisation mode
    Mode(ModeWord),
    /// Any other word that starts with a letter
    Word,
    /// A byte that no rule covers, braces among them
    Byte(u8),
    /// The end of the file
    End,
}

/// The spellings of the synchronisation modes, in any mix of upper and lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModeWord {
    Alarm,
    /// Old name of alarm
    Persistent,
    Ftfw,
    /// Old name of ftfw
    Nack,
    Notrack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
    pub(super) span: Span,
}

impl Token<'_> {
    /// The token as written; bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }
}

pub(super) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            line: 1,
        }
    }

    /// The next token; [`Kind::End`] for ever once the file has ended.
    pub(super) fn next(&mut self) -> Token<'a> {
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let Some(&first) = rest.first() else {
                return self.token(Kind::End, 0);
            };
            match first {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => match rest.iter().position(|&b| b == b'\n') {
                    Some(end) => self.at += end,
                    // No newline behind it: the scanner's rule for comments does not match.
                    None => return self.token(Kind::Byte(b'#'), 1),
                },
                _ => {
                    let (kind, len) = longest(rest);
                    return self.token(kind, len);
                }
            }
        }
    }

    fn token(&mut self, kind: Kind, len: usize) -> Token<'a> {
        let start = self.at;
        self.at = start.saturating_add(len);
        Token {
            kind,
            bytes: self.input.get(start..self.at).unwrap_or_default(),
            span: Span {
                line: self.line,
                start: u32::try_from(start).unwrap_or(u32::MAX),
                len: u32::try_from(len).unwrap_or(u32::MAX),
            },
        }
    }
}

/// The rule that takes the most bytes of `rest`, which is not empty; the earlier one of two equals.
fn longest(rest: &[u8]) -> (Kind, usize) {
    let mut best = (Kind::Byte(rest.first().copied().unwrap_or(0)), 0);
    let mut offer = |kind, len| {
        if len > best.1 {
            best = (kind, len);
        }
    };
    let word = word_len(rest);
    let text = rest.get(..word).unwrap_or_default();
    if let Some(kind) = reserved(text) {
        offer(kind, word);
    }
    let digits = digits_len(rest);
    offer(Kind::Number(saturating_number(rest, digits)), digits);
    if matches!(rest.first(), Some(b'+' | b'-')) {
        let n = digits_len(rest.get(1..).unwrap_or_default());
        if n > 0 {
            offer(Kind::Signed, n + 1);
        }
    }
    offer(Kind::Ip, ipv4_len(rest));
    offer(Kind::Ip, ipv6_len(rest));
    if rest.first() == Some(&b'/') {
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\n' | b' '));
        offer(Kind::Path, end.unwrap_or(rest.len()));
    }
    if let Some(mode) = mode_word(text) {
        offer(Kind::Mode(mode), word);
    }
    offer(Kind::Word, word);
    if best.1 == 0 {
        best.1 = 1;
    }
    best
}

fn word_len(rest: &[u8]) -> usize {
    if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    rest.iter().take_while(|b| part(b)).count()
}

fn digits_len(rest: &[u8]) -> usize {
    rest.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn saturating_number(rest: &[u8], digits: usize) -> i32 {
    rest.iter().take(digits).fold(0i32, |n, b| {
        n.saturating_mul(10)
            .saturating_add(i32::from(b.wrapping_sub(b'0')))
    })
}

/// Four groups of digits, each of any length, and perhaps a prefix length.
fn ipv4_len(rest: &[u8]) -> usize {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            if rest.get(at) != Some(&b'.') {
                return 0;
            }
            at += 1;
        }
        let digits = digits_len(rest.get(at..).unwrap_or_default());
        if digits == 0 {
            return 0;
        }
        at += digits;
    }
    at + prefix_len(rest.get(at..).unwrap_or_default())
}

/// `/` and digits, or nothing.
fn prefix_len(rest: &[u8]) -> usize {
    match rest.first() {
        Some(b'/') => match digits_len(rest.get(1..).unwrap_or_default()) {
            0 => 0,
            n => n + 1,
        },
        _ => 0,
    }
}

/// Groups of one to four hexadecimal digits with optional colons between them around `::`, or up to eight groups with colons.
fn ipv6_len(rest: &[u8]) -> usize {
    let mut best = 0;
    let mut offer = |end: usize| {
        let len = end + prefix_len(rest.get(end..).unwrap_or_default());
        best = best.max(len);
    };
    // Form 1: at most seven groups, "::", at most seven groups.
    for before in group_ends(rest, vec![0]) {
        if rest.get(before..before + 2) == Some(b"::") {
            for after in group_ends(rest, vec![before + 2]) {
                offer(after);
            }
        }
    }
    // Form 2: at most seven groups with a colon each, then one group.
    let mut starts = vec![0];
    for _ in 0..8 {
        let mut next = Vec::new();
        for start in starts {
            for end in hex_ends(rest, start) {
                offer(end);
                if rest.get(end) == Some(&b':') {
                    next.push(end + 1);
                }
            }
        }
        starts = next;
    }
    best
}

/// Where zero to seven groups, each with an optional colon, can end when they begin at one of `starts`.
fn group_ends(rest: &[u8], starts: Vec<usize>) -> Vec<usize> {
    let mut all = starts.clone();
    let mut current = starts;
    for _ in 0..7 {
        let mut next = Vec::new();
        for &start in &current {
            for end in hex_ends(rest, start) {
                let colon = (rest.get(end) == Some(&b':')).then_some(end + 1);
                for end in [Some(end), colon].into_iter().flatten() {
                    if !next.contains(&end) {
                        next.push(end);
                    }
                }
            }
        }
        for end in &next {
            if !all.contains(end) {
                all.push(*end);
            }
        }
        current = next;
    }
    all
}

/// The ends of one to four hexadecimal digits from `start`.
fn hex_ends(rest: &[u8], start: usize) -> impl Iterator<Item = usize> {
    let digits = rest
        .iter()
        .skip(start)
        .take(4)
        .take_while(|b| b.is_ascii_hexdigit())
        .count();
    (1..=digits).map(move |n| start + n)
}

fn mode_word(text: &[u8]) -> Option<ModeWord> {
    [
        ("alarm", ModeWord::Alarm),
        ("persistent", ModeWord::Persistent),
        ("ftfw", ModeWord::Ftfw),
        ("nack", ModeWord::Nack),
        ("notrack", ModeWord::Notrack),
    ]
    .into_iter()
    .find(|(word, _)| text.eq_ignore_ascii_case(word.as_bytes()))
    .map(|(_, mode)| mode)
}

fn reserved(text: &[u8]) -> Option<Kind> {
    let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    if is("on") || is("yes") {
        return Some(Kind::On);
    }
    if is("off") || is("no") {
        return Some(Kind::Off);
    }
    for (alias, name) in ALIASES {
        if text == alias.as_bytes() {
            return Some(Kind::Keyword(name));
        }
    }
    KEYWORDS
        .iter()
        .find(|word| text == word.as_bytes())
        .map(|word| Kind::Keyword(word))
}

/// Every keyword and alias.
pub(super) fn keywords() -> impl Iterator<Item = &'static str> {
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    KEYWORDS.iter().copied().chain(aliases)
}

const ALIASES: [(&str, &str); 4] = [
    ("SocketBufferSize", "NetlinkBufferSize"),
    ("SocketBufferSizeMaxGrown", "NetlinkBufferSizeMaxGrowth"),
    ("SocketBufferSizeMaxGrowth", "NetlinkBufferSizeMaxGrowth"),
    ("CLOSED", "CLOSE"),
];

const KEYWORDS: [&str; 78] = [
    "ACKWindowSize",
    "Accept",
    "Address",
    "Backlog",
    "CLOSE",
    "CLOSE_WAIT",
    "CacheTimeout",
    "Checksum",
    "CommitTimeout",
    "Default",
    "DisableExternalCache",
    "DisableInternalCache",
    "ESTABLISHED",
    "ErrorQueueLength",
    "EventIterationLimit",
    "ExpectMax",
    "ExpectTimeout",
    "ExpectationSync",
    "FIN_WAIT",
    "Filter",
    "From",
    "General",
    "Group",
    "HashLimit",
    "HashSize",
    "Helper",
    "IPv4_Destination_Address",
    "IPv4_address",
    "IPv4_interface",
    "IPv6_Destination_Address",
    "IPv6_address",
    "IPv6_interface",
    "Ignore",
    "Interface",
    "Kernelspace",
    "LAST_ACK",
    "LISTEN",
    "LockFile",
    "LogFile",
    "Mode",
    "Multicast",
    "NetlinkBufferSize",
    "NetlinkBufferSizeMaxGrowth",
    "NetlinkEventsReliable",
    "NetlinkOverrunResync",
    "Nice",
    "Options",
    "Path",
    "Policy",
    "PollSecs",
    "Port",
    "Priority",
    "Protocol",
    "PurgeTimeout",
    "QueueLen",
    "QueueNum",
    "RcvSocketBuffer",
    "RefreshTime",
    "ResendQueueSize",
    "SYN_RECV",
    "SYN_SENT",
    "Scheduler",
    "Setup",
    "SndSocketBuffer",
    "StartupResync",
    "State",
    "Stats",
    "Sync",
    "Syslog",
    "Systemd",
    "TCP",
    "TCPWindowTracking",
    "TIME_WAIT",
    "Type",
    "UDP",
    "UNIX",
    "Userspace",
    "for",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, String, u32)> {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut out = Vec::new();
        loop {
            let token = lexer.next();
            if token.kind == Kind::End {
                return out;
            }
            out.push((token.kind, token.text(), token.span.line));
        }
    }

    fn one(text: &str) -> Kind {
        let all = kinds(text);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        all[0].0
    }

    #[test]
    fn names_of_hexadecimal_digits_are_addresses() {
        for text in [
            "fe0",
            "dead",
            "::",
            "::1/64",
            "fe80::1",
            "1:2:3:4:5:6:7:8",
            "10.0.0.1/24",
        ] {
            assert_eq!(one(text), Kind::Ip, "{text}");
        }
        for text in ["eth0", "br-lan.10", "dead0x", "cafe5-x", "onx", "ftfw1"] {
            assert_eq!(one(text), Kind::Word, "{text}");
        }
        assert_eq!(one("1800"), Kind::Number(1800));
        assert_eq!(one("99999999999"), Kind::Number(i32::MAX));
        assert_eq!(one("-20"), Kind::Signed);
        // A ninth group does not belong to the address any more.
        assert_eq!(kinds("1:2:3:4:5:6:7:8:9").len(), 3);
    }

    #[test]
    fn keywords_are_exact_and_words_are_longer() {
        assert_eq!(one("HashSize"), Kind::Keyword("HashSize"));
        assert_eq!(
            one("SocketBufferSizeMaxGrown"),
            Kind::Keyword("NetlinkBufferSizeMaxGrowth")
        );
        assert_eq!(one("hashsize"), Kind::Word);
        assert_eq!(one("HashSizes"), Kind::Word);
        assert_eq!(one("YES"), Kind::On);
        assert_eq!(one("nO"), Kind::Off);
        assert_eq!(one("FtFw"), Kind::Mode(ModeWord::Ftfw));
    }

    #[test]
    fn a_path_swallows_a_brace() {
        let all = kinds("Path /x}\n}");
        assert_eq!(all[1], (Kind::Path, "/x}".into(), 1));
        assert_eq!(all[2], (Kind::Byte(b'}'), "}".into(), 2));
    }

    #[test]
    fn a_comment_needs_its_newline() {
        assert!(kinds("# x\n").is_empty());
        assert_eq!(kinds("\n# x")[0], (Kind::Byte(b'#'), "#".into(), 2));
    }

    #[test]
    fn wildcard_is_a_token_of_its_own() {
        let all = kinds("Interface eth*");
        assert_eq!(all[1].0, Kind::Word);
        assert_eq!(all[2].0, Kind::Byte(b'*'));
    }
}
