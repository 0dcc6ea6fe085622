//! TLS as a client over sockets that are there already, by the system's OpenSSL: no certificate is verified, as a health check
//! asks whether a server answers, not who it is.
#![expect(unsafe_code, reason = "OpenSSL is a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use openssl_sys as ffi;

use crate::epoll::Wait;

// What openssl-sys does not declare.
unsafe extern "C" {
    fn SSL_set_fd(ssl: *mut ffi::SSL, fd: c_int) -> c_int;
    fn SSL_set_quiet_shutdown(ssl: *mut ffi::SSL, mode: c_int);
    fn SSL_CTX_set_default_passwd_cb(ctx: *mut ffi::SSL_CTX, callback: Option<PasswordCallback>);
    fn SSL_CTX_set_default_passwd_cb_userdata(ctx: *mut ffi::SSL_CTX, data: *mut c_void);
    fn ERR_error_string_n(error: c_ulong, text: *mut c_char, length: usize);
}

type PasswordCallback = unsafe extern "C" fn(*mut c_char, c_int, c_int, *mut c_void) -> c_int;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
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
pub struct Client(*mut ffi::SSL_CTX);

/// One connection. The socket must live as long; it stays the caller's.
#[derive(Debug)]
pub struct Session<S> {
    ssl: *mut ffi::SSL,
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
        ffi::init();
        // SAFETY: the method is a static of the library.
        let context = unsafe { ffi::SSL_CTX_new(ffi::TLS_method()) };
        if context.is_null() {
            return Err(Refused::Context);
        }
        let client = Self(context);
        let path = |file: &str| CString::new(file).unwrap_or_default();
        if let Some(file) = files.certificate.map(path) {
            // SAFETY: context and string live across the call.
            let loaded = unsafe { ffi::SSL_CTX_use_certificate_chain_file(context, file.as_ptr()) };
            if loaded <= 0 {
                return Err(Refused::Certificate);
            }
        }
        let word = files.password.map(path);
        if let Some(word) = &word {
            // SAFETY: the callback copes with what it is given; the string lives until the data is taken back below.
            unsafe {
                SSL_CTX_set_default_passwd_cb_userdata(context, word.as_ptr().cast_mut().cast());
                SSL_CTX_set_default_passwd_cb(context, Some(password));
            }
        }
        let key = files.key.map(path).is_none_or(|file| {
            // SAFETY: context and string live across the call.
            let loaded = unsafe {
                ffi::SSL_CTX_use_PrivateKey_file(context, file.as_ptr(), ffi::SSL_FILETYPE_PEM)
            };
            loaded > 0
        });
        // SAFETY: no file is read with a password from here on.
        unsafe { SSL_CTX_set_default_passwd_cb_userdata(context, ptr::null_mut()) };
        if !key {
            return Err(Refused::Key);
        }
        if let Some(file) = files.ca.map(path) {
            // SAFETY: context and string live across the call; no directory is given.
            let loaded =
                unsafe { ffi::SSL_CTX_load_verify_locations(context, file.as_ptr(), ptr::null()) };
            if loaded <= 0 {
                return Err(Refused::Ca);
            }
        }
        // SAFETY: the context is ours.
        unsafe { ffi::SSL_CTX_set_verify_depth(context, 1) };
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
        let ssl = unsafe { ffi::SSL_new(self.0) };
        if ssl.is_null() {
            return Err(Refused::Context);
        }
        let session = Session {
            ssl,
            _socket: socket,
        };
        // SAFETY: the session is ours, and the socket lives as long as it does.
        let set = unsafe { SSL_set_fd(ssl, session._socket.as_fd().as_raw_fd()) };
        if set != 1 {
            return Err(Refused::Context);
        }
        // SAFETY: the session is ours.
        unsafe { SSL_set_quiet_shutdown(ssl, c_int::from(!farewell)) };
        if let Some(name) = name.and_then(|name| CString::new(name).ok()) {
            // SAFETY: the library copies the string.
            unsafe { ffi::SSL_set_tlsext_host_name(ssl, name.as_ptr().cast_mut()) };
        }
        Ok(session)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again; sessions have their own references.
        unsafe { ffi::SSL_CTX_free(self.0) };
    }
}

impl<S> Session<S> {
    fn error(&self, result: c_int) -> c_int {
        // SAFETY: the session is ours, the result that of the last call on it.
        unsafe { ffi::SSL_get_error(self.ssl, result) }
    }

    /// Goes on with the handshake.
    pub fn connect(&mut self) -> Handshake {
        // SAFETY: errors of others must not be taken for this session's.
        unsafe { ffi::ERR_clear_error() };
        // SAFETY: the session is ours.
        let result = unsafe { ffi::SSL_connect(self.ssl) };
        if result == 1 {
            return Handshake::Done;
        }
        // 0 is an orderly refusal.
        match (result, self.error(result)) {
            (..0, ffi::SSL_ERROR_WANT_READ) => Handshake::Wait(Wait::Read),
            (..0, ffi::SSL_ERROR_WANT_WRITE) => Handshake::Wait(Wait::Write),
            _ => Handshake::Failed,
        }
    }

    /// Sends all of `bytes`, or fails.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let Ok(length) = c_int::try_from(bytes.len()) else {
            return false;
        };
        // SAFETY: as in `connect`.
        unsafe { ffi::ERR_clear_error() };
        // SAFETY: the session is ours, the bytes live across the call.
        let written = unsafe { ffi::SSL_write(self.ssl, bytes.as_ptr().cast(), length) };
        written == length
    }

    /// Takes what has come.
    pub fn read(&mut self, into: &mut [u8]) -> Read {
        let length = c_int::try_from(into.len()).unwrap_or(c_int::MAX);
        // SAFETY: as in `connect`.
        unsafe { ffi::ERR_clear_error() };
        // SAFETY: the session is ours, the buffer has that length.
        let result = unsafe { ffi::SSL_read(self.ssl, into.as_mut_ptr().cast(), length) };
        if let Ok(count @ 1..) = usize::try_from(result) {
            return Read::Bytes(count);
        }
        match self.error(result) {
            ffi::SSL_ERROR_WANT_READ => Read::Wait,
            ffi::SSL_ERROR_ZERO_RETURN => Read::End,
            ffi::SSL_ERROR_SSL => Read::Violated(errors()),
            _ => Read::Broken,
        }
    }

    /// Whether bytes are held back that came with those that were read.
    pub fn pending(&self) -> bool {
        // SAFETY: the session is ours.
        unsafe { ffi::SSL_pending(self.ssl) > 0 }
    }

    /// Says farewell, if that is wanted; whether it is over for the library (not: the peer has not answered yet).
    pub fn shutdown(&mut self) -> bool {
        // SAFETY: the session is ours.
        unsafe { ffi::SSL_shutdown(self.ssl) != 0 }
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again; the socket is closed after this, by its owner.
        unsafe { ffi::SSL_free(self.ssl) };
    }
}

/// Empties this thread's queue of errors.
fn errors() -> Vec<Error> {
    let mut all = Vec::new();
    loop {
        let (mut file, mut function, mut data) = (ptr::null(), ptr::null(), ptr::null());
        let (mut line, mut flags) = (0, 0);
        // SAFETY: all places live across the call; the strings are the library's and copied before the next call.
        let code = unsafe {
            ffi::ERR_get_error_all(&mut file, &mut line, &mut function, &mut data, &mut flags)
        };
        if code == 0 {
            return all;
        }
        let mut text = [0_u8; 256];
        // SAFETY: the buffer has that length, and the library terminates the string.
        unsafe { ERR_error_string_n(code, text.as_mut_ptr().cast(), text.len()) };
        let word = |text: *const c_char| {
            if text.is_null() {
                return String::new();
            }
            // SAFETY: the library's strings are terminated.
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned()
        };
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
