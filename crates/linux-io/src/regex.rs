//! Regular expressions by the system's PCRE2, for subjects that come in pieces. It is loaded with the first [`Pattern`].
#![expect(unsafe_code, reason = "PCRE2 is a C library")]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use crate::shared_library::functions;

/// `pcre2_code_8`
type Code = c_void;
/// `pcre2_match_data_8`
type MatchData = c_void;
/// `pcre2_match_context_8`
type MatchContext = c_void;
/// `pcre2_jit_stack_8`
type JitStack = c_void;
/// A context that is never given.
type Absent = *mut c_void;

functions! {
    /// What is used of PCRE2 (its pcre2.h).
    struct Pcre2 of c"libpcre2-8.so.0";
    fn pcre2_compile_8(*const u8, usize, u32, *mut c_int, *mut usize, Absent) -> *mut Code;
    fn pcre2_code_free_8(*mut Code);
    fn pcre2_jit_compile_8(*mut Code, u32) -> c_int;
    fn pcre2_pattern_info_8(*const Code, u32, *mut c_void) -> c_int;
    fn pcre2_match_data_create_from_pattern_8(*const Code, Absent) -> *mut MatchData;
    fn pcre2_match_data_free_8(*mut MatchData);
    fn pcre2_match_context_create_8(Absent) -> *mut MatchContext;
    fn pcre2_match_context_free_8(*mut MatchContext);
    fn pcre2_jit_stack_create_8(usize, usize, Absent) -> *mut JitStack;
    fn pcre2_jit_stack_assign_8(*mut MatchContext, Absent, *mut c_void);
    fn pcre2_jit_stack_free_8(*mut JitStack);
    fn pcre2_match_8(*const Code, *const u8, usize, usize, u32, *mut MatchData, *mut MatchContext) -> c_int;
    fn pcre2_get_ovector_pointer_8(*mut MatchData) -> *mut usize;
    fn pcre2_get_error_message_8(c_int, *mut u8, usize) -> c_int;
}

// Numbers of pcre2.h.
const PARTIAL_HARD: u32 = 0x20;
const JIT_PARTIAL_HARD: u32 = 4;
const INFO_MAXLOOKBEHIND: u32 = 15;
const ERROR_NOMATCH: c_int = -1;
const ERROR_PARTIAL: c_int = -2;
const ERROR_NOMEMORY: c_int = -48;

fn library() -> Result<&'static Pcre2, String> {
    static LOADED: OnceLock<Pcre2> = OnceLock::new();
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let library = Pcre2::load()?;
    Ok(LOADED.get_or_init(|| library))
}

/// A pattern that was compiled.
#[derive(Debug)]
pub struct Pattern {
    library: &'static Pcre2,
    code: *mut Code,
    data: *mut MatchData,
    lookbehind: usize,
    context: *mut MatchContext,
    stack: *mut JitStack,
}

/// Why there is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The library can not be loaded, for this reason.
    Library(String),
    /// Something is wrong with it.
    Invalid {
        /// Where in it.
        offset: usize,
        /// The library's words.
        message: String,
    },
}

/// What came of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A match that begins there; whether the library had no room for all of its substrings.
    Match(usize, bool),
    /// One that may begin there, if the subject goes on.
    Partial(usize),
    /// None.
    Nothing,
    /// The library's error number.
    Error(i32),
}

/// The library's bit of an option of `regex_options`, by name (pcre2.h).
pub fn option(name: &str) -> Option<u32> {
    Some(match name {
        "allow_empty_class" => 0x0000_0001,
        "alt_bsux" => 0x0000_0002,
        "auto_callout" => 0x0000_0004,
        "caseless" => 0x0000_0008,
        "dollar_endonly" => 0x0000_0010,
        "dotall" => 0x0000_0020,
        "dupnames" => 0x0000_0040,
        "extended" => 0x0000_0080,
        "firstline" => 0x0000_0100,
        "match_unset_backref" => 0x0000_0200,
        "multiline" => 0x0000_0400,
        "never_ucp" => 0x0000_0800,
        "never_utf" => 0x0000_1000,
        "no_auto_capture" => 0x0000_2000,
        "no_auto_possess" => 0x0000_4000,
        "no_dotstar_anchor" => 0x0000_8000,
        "no_start_optimize" => 0x0001_0000,
        "ucp" => 0x0002_0000,
        "ungreedy" => 0x0004_0000,
        "utf" => 0x0008_0000,
        "never_backslash_c" => 0x0010_0000,
        "alt_circumflex" => 0x0020_0000,
        "alt_verbnames" => 0x0040_0000,
        "use_offset_limit" => 0x0080_0000,
        _ => return None,
    })
}

impl Pattern {
    /// Compiles a pattern. `stack`: first and greatest size in bytes of a stack of its own for compiled code.
    ///
    /// # Errors
    /// When the library is missing, or something is wrong with the pattern.
    pub fn new(
        pattern: &str,
        options: u32,
        stack: Option<(usize, usize)>,
    ) -> Result<Self, Refused> {
        let library = library().map_err(Refused::Library)?;
        let invalid = |offset, message| Refused::Invalid { offset, message };
        let (mut error, mut offset) = (0, 0);
        // SAFETY: the pattern has that length; the places live across the call.
        let code = unsafe {
            (library.pcre2_compile_8)(
                pattern.as_ptr(),
                pattern.len(),
                options,
                &mut error,
                &mut offset,
                ptr::null_mut(),
            )
        };
        if code.is_null() {
            return Err(invalid(offset, message(library, error)));
        }
        // SAFETY: the code was just compiled. It is no error when it can not be made faster.
        let data = unsafe {
            let _ = (library.pcre2_jit_compile_8)(code, JIT_PARTIAL_HARD);
            (library.pcre2_match_data_create_from_pattern_8)(code, ptr::null_mut())
        };
        let mut own = Self {
            library,
            code,
            data,
            lookbehind: 0,
            context: ptr::null_mut(),
            stack: ptr::null_mut(),
        };
        if data.is_null() {
            return Err(invalid(0, message(library, ERROR_NOMEMORY)));
        }
        let mut lookbehind = 0_u32;
        let place: *mut c_void = (&raw mut lookbehind).cast();
        // SAFETY: this question is answered with a 32-bit number.
        unsafe { (library.pcre2_pattern_info_8)(code, INFO_MAXLOOKBEHIND, place) };
        own.lookbehind = usize::try_from(lookbehind).unwrap_or(0);
        if let Some((first, greatest)) = stack {
            // SAFETY: null results are left alone; the context uses the stack only while both live.
            unsafe {
                own.context = (library.pcre2_match_context_create_8)(ptr::null_mut());
                own.stack = (library.pcre2_jit_stack_create_8)(first, greatest, ptr::null_mut());
                if !own.context.is_null() && !own.stack.is_null() {
                    (library.pcre2_jit_stack_assign_8)(
                        own.context,
                        ptr::null_mut(),
                        own.stack.cast(),
                    );
                }
            }
        }
        Ok(own)
    }

    /// How many characters before a match it may look at.
    pub fn lookbehind(&self) -> usize {
        self.lookbehind
    }

    /// Searches `subject`, which may go on, from `start` on.
    pub fn search(&mut self, subject: &[u8], start: usize) -> Found {
        if start > subject.len() {
            return Found::Nothing;
        }
        // SAFETY: the subject has that length and `start` is in it; code, data and context are ours.
        let result = unsafe {
            (self.library.pcre2_match_8)(
                self.code,
                subject.as_ptr(),
                subject.len(),
                start,
                PARTIAL_HARD,
                self.data,
                self.context,
            )
        };
        // SAFETY: the data always has at least one pair.
        let first = || unsafe { *(self.library.pcre2_get_ovector_pointer_8)(self.data) };
        match result {
            0.. => Found::Match(first(), result == 0),
            ERROR_PARTIAL => Found::Partial(first()),
            ERROR_NOMATCH => Found::Nothing,
            error => Found::Error(error),
        }
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: all are ours or null, which these functions take.
        unsafe {
            (self.library.pcre2_match_context_free_8)(self.context);
            (self.library.pcre2_jit_stack_free_8)(self.stack);
            (self.library.pcre2_match_data_free_8)(self.data);
            (self.library.pcre2_code_free_8)(self.code);
        }
    }
}

fn message(library: &Pcre2, error: i32) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: the buffer has that length.
    let length =
        unsafe { (library.pcre2_get_error_message_8)(error, text.as_mut_ptr(), text.len()) };
    let length = usize::try_from(length).unwrap_or(0);
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(
        all(target_env = "musl", target_feature = "crt-static"),
        ignore = "a static program loads nothing"
    )]
    fn searches_in_pieces() {
        let mut pattern = Pattern::new("(?<=x)abc", 0, None).unwrap();
        assert_eq!(pattern.lookbehind(), 1);
        assert_eq!(pattern.search(b"..xabc", 0), Found::Match(3, false));
        assert_eq!(pattern.search(b"..xab", 0), Found::Partial(3));
        assert_eq!(pattern.search(b"...", 0), Found::Nothing);
        assert_eq!(pattern.search(b"...", 9), Found::Nothing);
        let caseless = option("caseless").unwrap();
        let mut pattern = Pattern::new("ABC", caseless, Some((1024, 65536))).unwrap();
        assert_eq!(pattern.search(b".abc", 0), Found::Match(1, false));
    }

    #[test]
    #[cfg_attr(
        all(target_env = "musl", target_feature = "crt-static"),
        ignore = "a static program loads nothing"
    )]
    fn what_is_wrong_with_a_pattern() {
        let refused = Pattern::new("a(b", 0, None).unwrap_err();
        let invalid = Refused::Invalid {
            offset: 3,
            message: "missing closing parenthesis".to_owned(),
        };
        assert_eq!(refused, invalid);
    }
}
