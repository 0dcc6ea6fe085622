//! TLS as a client over sockets that are there already, by the system's OpenSSL, which is loaded with the first [`Client`]: no
//! certificate is verified, as a health check asks whether a server answers, not who it is.
#![expect(unsafe_code, reason = "OpenSSL is a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::OnceLock;

use crate::epoll::Wait;
use crate::shared_library::functions;

/// `SSL_CTX`
type Context = c_void;
/// `SSL`
type Ssl = c_void;
type PasswordCallback = unsafe extern "C" fn(*mut c_char, c_int, c_int, *mut c_void) -> c_int;

functions! {
    /// What is used of OpenSSL 3 or 4 (its ssl.h and err.h).
    struct OpenSsl of c"libssl.so.3", c"libssl.so.4";
    fn OPENSSL_init_ssl(u64, *const c_void) -> c_int;
    fn TLS_method() -> *const c_void;
    fn SSL_CTX_new(*const c_void) -> *mut Context;
    fn SSL_CTX_free(*mut Context);
    fn SSL_CTX_use_certificate_chain_file(*mut Context, *const c_char) -> c_int;
    fn SSL_CTX_use_PrivateKey_file(*mut Context, *const c_char, c_int) -> c_int;
    fn SSL_CTX_load_verify_locations(*mut Context, *const c_char, *const c_char) -> c_int;
    fn SSL_CTX_set_verify_depth(*mut Context, c_int);
    fn SSL_CTX_set_default_passwd_cb(*mut Context, Option<PasswordCallback>);
    fn SSL_CTX_set_default_passwd_cb_userdata(*mut Context, *mut c_void);
    fn SSL_new(*mut Context) -> *mut Ssl;
    fn SSL_free(*mut Ssl);
    fn SSL_set_fd(*mut Ssl, c_int) -> c_int;
    fn SSL_set_quiet_shutdown(*mut Ssl, c_int);
    fn SSL_ctrl(*mut Ssl, c_int, c_long, *mut c_void) -> c_long;
    fn SSL_connect(*mut Ssl) -> c_int;
    fn SSL_write(*mut Ssl, *const c_void, c_int) -> c_int;
    fn SSL_read(*mut Ssl, *mut c_void, c_int) -> c_int;
    fn SSL_pending(*const Ssl) -> c_int;
    fn SSL_shutdown(*mut Ssl) -> c_int;
    fn SSL_get_error(*const Ssl, c_int) -> c_int;
    fn ERR_clear_error();
    fn ERR_get_error_all(*mut *const c_char, *mut c_int, *mut *const c_char, *mut *const c_char, *mut c_int) -> c_ulong;
    fn ERR_error_string_n(c_ulong, *mut c_char, usize);
}

// Numbers of ssl.h and tls1.h.
const INIT_LOAD_SSL_STRINGS: u64 = 0x0020_0000;
const FILETYPE_PEM: c_int = 1;
const CTRL_SET_TLSEXT_HOSTNAME: c_int = 55;
const TLSEXT_NAMETYPE_HOST_NAME: c_long = 0;
const ERROR_SSL: c_int = 1;
const ERROR_WANT_READ: c_int = 2;
const ERROR_WANT_WRITE: c_int = 3;
const ERROR_ZERO_RETURN: c_int = 6;

/// The library. When it is missing it is looked for again the next time.
fn library() -> Result<&'static OpenSsl, String> {
    static LOADED: OnceLock<OpenSsl> = OnceLock::new();
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let library = OpenSsl::load()?;
    // SAFETY: no settings are given. A failure shows when a context is to be made.
    unsafe { (library.OPENSSL_init_ssl)(INIT_LOAD_SSL_STRINGS, ptr::null()) };
    Ok(LOADED.get_or_init(|| library))
}

/// The files a client shows itself with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// Certificate chain (PEM).
    pub certificate: Option<&'a str>,
    /// Private key (PEM).
    pub key: Option<&'a str>,
    /// Its password.
    pub password: Option<&'a str>,
    /// Trusted authorities.
    pub ca: Option<&'a str>,
}

/// What is wrong with [`Files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The library can not be loaded, for this reason.
    Library(String),
    /// The library refuses to work at all.
    Context,
    /// The certificate.
    Certificate,
    /// The key, or its password.
    Key,
    /// The authorities.
    Ca,
}

/// What all connections share.
#[derive(Debug)]
pub struct Client {
    library: &'static OpenSsl,
    context: *mut Context,
}

/// One connection. The socket must live as long; it stays the caller's.
#[derive(Debug)]
pub struct Session<S> {
    library: &'static OpenSsl,
    ssl: *mut Ssl,
    /// Keeps the descriptor alive that `ssl` uses.
    _socket: S,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Done.
    Done,
    /// To be tried again when the socket is ready for that.
    Wait(Wait),
    /// Failed.
    Failed,
}

/// What came of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// To be tried again when the socket is readable.
    Wait,
    /// The peer said that it is the end.
    End,
    /// The connection ended without that, or wants something that does not happen here.
    Broken,
    /// TLS was violated, in this way.
    Violated(Vec<Error>),
}

/// One error of the library's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The library's number.
    pub code: u64,
    /// `error:0A000126:SSL routines::unexpected eof while reading`
    pub text: String,
    /// Source file of the library.
    pub file: String,
    /// Line in it.
    pub line: i32,
    /// Function.
    pub function: String,
    /// More about it.
    pub data: String,
    /// What `data` is.
    pub flags: i32,
}

/// Gives the password that [`Client::new`] was called with.
///
/// # Safety
/// `data` is null or points to a NUL-terminated string; `into` has room for `room` bytes.
unsafe extern "C" fn password(
    into: *mut c_char,
    room: c_int,
    _writing: c_int,
    data: *mut c_void,
) -> c_int {
    if data.is_null() {
        return 0;
    }
    // SAFETY: said above.
    let word = unsafe { CStr::from_ptr(data.cast()) }.to_bytes_with_nul();
    if usize::try_from(room).unwrap_or(0) < word.len() {
        return 0;
    }
    // SAFETY: the room suffices, and a fresh buffer of the library does not overlap ours.
    unsafe { ptr::copy_nonoverlapping(word.as_ptr().cast(), into, word.len()) };
    c_int::try_from(word.len().saturating_sub(1)).unwrap_or(0)
}

impl Client {
    /// With these files; they are read now.
    ///
    /// # Errors
    /// The first that is no good.
    pub fn new(files: Files<'_>) -> Result<Self, Refused> {
        let library = library().map_err(Refused::Library)?;
        // SAFETY: the method is a static of the library.
        let context = unsafe { (library.SSL_CTX_new)((library.TLS_method)()) };
        if context.is_null() {
            return Err(Refused::Context);
        }
        let client = Self { library, context };
        let path = |file: &str| CString::new(file).unwrap_or_default();
        if let Some(file) = files.certificate.map(path) {
            // SAFETY: context and string live across the call.
            let loaded =
                unsafe { (library.SSL_CTX_use_certificate_chain_file)(context, file.as_ptr()) };
            if loaded <= 0 {
                return Err(Refused::Certificate);
            }
        }
        let word = files.password.map(path);
        if let Some(word) = &word {
            // SAFETY: the callback copes with what it is given; the string lives until the data is taken back below.
            unsafe {
                let data = word.as_ptr().cast_mut().cast();
                (library.SSL_CTX_set_default_passwd_cb_userdata)(context, data);
                (library.SSL_CTX_set_default_passwd_cb)(context, Some(password));
            }
        }
        let key = files.key.map(path).is_none_or(|file| {
            // SAFETY: context and string live across the call.
            let loaded = unsafe {
                (library.SSL_CTX_use_PrivateKey_file)(context, file.as_ptr(), FILETYPE_PEM)
            };
            loaded > 0
        });
        // SAFETY: no file is read with a password from here on.
        unsafe { (library.SSL_CTX_set_default_passwd_cb_userdata)(context, ptr::null_mut()) };
        if !key {
            return Err(Refused::Key);
        }
        if let Some(file) = files.ca.map(path) {
            // SAFETY: context and string live across the call; no directory is given.
            let loaded = unsafe {
                (library.SSL_CTX_load_verify_locations)(context, file.as_ptr(), ptr::null())
            };
            if loaded <= 0 {
                return Err(Refused::Ca);
            }
        }
        // SAFETY: the context is ours.
        unsafe { (library.SSL_CTX_set_verify_depth)(context, 1) };
        Ok(client)
    }

    /// A connection over `socket`, to the server of that name if it is to be told which one is meant. Without `farewell` the
    /// peer is not told about the end.
    ///
    /// # Errors
    /// When the library has no memory.
    pub fn session<S: AsFd>(
        &self,
        socket: S,
        name: Option<&str>,
        farewell: bool,
    ) -> Result<Session<S>, Refused> {
        // SAFETY: the context is ours; a session holds a reference of its own to it.
        let ssl = unsafe { (self.library.SSL_new)(self.context) };
        if ssl.is_null() {
            return Err(Refused::Context);
        }
        let session = Session {
            library: self.library,
            ssl,
            _socket: socket,
        };
        let descriptor = session._socket.as_fd().as_raw_fd();
        // SAFETY: the session is ours, and the socket lives as long as it does.
        let set = unsafe { (self.library.SSL_set_fd)(ssl, descriptor) };
        if set != 1 {
            return Err(Refused::Context);
        }
        // SAFETY: the session is ours.
        unsafe { (self.library.SSL_set_quiet_shutdown)(ssl, c_int::from(!farewell)) };
        if let Some(name) = name.and_then(|name| CString::new(name).ok()) {
            let word = name.as_ptr().cast_mut().cast();
            // SAFETY: this question takes a string, which the library copies.
            unsafe {
                (self.library.SSL_ctrl)(
                    ssl,
                    CTRL_SET_TLSEXT_HOSTNAME,
                    TLSEXT_NAMETYPE_HOST_NAME,
                    word,
                )
            };
        }
        Ok(session)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again; sessions have their own references.
        unsafe { (self.library.SSL_CTX_free)(self.context) };
    }
}

impl<S> Session<S> {
    fn error(&self, result: c_int) -> c_int {
        // SAFETY: the session is ours, the result that of the last call on it.
        unsafe { (self.library.SSL_get_error)(self.ssl, result) }
    }

    /// Goes on with the handshake.
    pub fn connect(&mut self) -> Handshake {
        // SAFETY: errors of others must not be taken for this session's.
        unsafe { (self.library.ERR_clear_error)() };
        // SAFETY: the session is ours.
        let result = unsafe { (self.library.SSL_connect)(self.ssl) };
        if result == 1 {
            return Handshake::Done;
        }
        // 0 is an orderly refusal.
        match (result, self.error(result)) {
            (..0, ERROR_WANT_READ) => Handshake::Wait(Wait::Read),
            (..0, ERROR_WANT_WRITE) => Handshake::Wait(Wait::Write),
            _ => Handshake::Failed,
        }
    }

    /// Sends all of `bytes`, or fails.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let Ok(length) = c_int::try_from(bytes.len()) else {
            return false;
        };
        // SAFETY: as in `connect`.
        unsafe { (self.library.ERR_clear_error)() };
        // SAFETY: the session is ours, the bytes live across the call.
        let written = unsafe { (self.library.SSL_write)(self.ssl, bytes.as_ptr().cast(), length) };
        written == length
    }

    /// Takes what has come.
    pub fn read(&mut self, into: &mut [u8]) -> Read {
        let length = c_int::try_from(into.len()).unwrap_or(c_int::MAX);
        // SAFETY: as in `connect`.
        unsafe { (self.library.ERR_clear_error)() };
        // SAFETY: the session is ours, the buffer has that length.
        let result = unsafe { (self.library.SSL_read)(self.ssl, into.as_mut_ptr().cast(), length) };
        if let Ok(count @ 1..) = usize::try_from(result) {
            return Read::Bytes(count);
        }
        match self.error(result) {
            ERROR_WANT_READ => Read::Wait,
            ERROR_ZERO_RETURN => Read::End,
            ERROR_SSL => Read::Violated(errors(self.library)),
            _ => Read::Broken,
        }
    }

    /// Whether bytes are held back that came with those that were read.
    pub fn pending(&self) -> bool {
        // SAFETY: the session is ours.
        unsafe { (self.library.SSL_pending)(self.ssl) > 0 }
    }

    /// Says farewell, if that is wanted; whether it is over for the library (not: the peer has not answered yet).
    pub fn shutdown(&mut self) -> bool {
        // SAFETY: the session is ours.
        unsafe { (self.library.SSL_shutdown)(self.ssl) != 0 }
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again; the socket is closed after this, by its owner.
        unsafe { (self.library.SSL_free)(self.ssl) };
    }
}

/// Empties this thread's queue of errors.
fn errors(library: &OpenSsl) -> Vec<Error> {
    let mut all = Vec::new();
    loop {
        let (mut file, mut function, mut data) = (ptr::null(), ptr::null(), ptr::null());
        let (mut line, mut flags) = (0, 0);
        // SAFETY: all places live across the call; the strings are the library's and copied before the next call.
        let code = unsafe {
            (library.ERR_get_error_all)(&mut file, &mut line, &mut function, &mut data, &mut flags)
        };
        if code == 0 {
            return all;
        }
        let mut text = [0_u8; 256];
        // SAFETY: the buffer has that length, and the library terminates the string.
        unsafe { (library.ERR_error_string_n)(code, text.as_mut_ptr().cast(), text.len()) };
        let word = |text: *const c_char| {
            if text.is_null() {
                return String::new();
            }
            // SAFETY: the library's strings are terminated.
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned()
        };
        #[allow(clippy::unnecessary_cast, reason = "32 bits elsewhere")]
        all.push(Error {
            code: code as u64,
            text: word(text.as_ptr().cast()),
            file: word(file),
            line,
            function: word(function),
            data: word(data),
            flags,
        });
    }
}
