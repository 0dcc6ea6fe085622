//! Regular expressions by the system's PCRE2, for subjects that come in pieces.
#![expect(unsafe_code, reason = "PCRE2 is a C library")]

use std::ffi::c_void;
use std::ptr;

use pcre2_sys as ffi;

/// A pattern that was compiled.
#[derive(Debug)]
pub struct Pattern {
    code: *mut ffi::pcre2_code_8,
    data: *mut ffi::pcre2_match_data_8,
    lookbehind: usize,
    context: *mut ffi::pcre2_match_context_8,
    stack: *mut ffi::pcre2_jit_stack_8,
}

/// Why a pattern is no good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where in it.
    pub offset: usize,
    /// The library's words.
    pub message: String,
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

/// The library's bit of an option of `regex_options`, by name.
pub fn option(name: &str) -> Option<u32> {
    Some(match name {
        "allow_empty_class" => ffi::PCRE2_ALLOW_EMPTY_CLASS,
        "alt_bsux" => ffi::PCRE2_ALT_BSUX,
        "auto_callout" => ffi::PCRE2_AUTO_CALLOUT,
        "caseless" => ffi::PCRE2_CASELESS,
        "dollar_endonly" => ffi::PCRE2_DOLLAR_ENDONLY,
        "dotall" => ffi::PCRE2_DOTALL,
        "dupnames" => ffi::PCRE2_DUPNAMES,
        "extended" => ffi::PCRE2_EXTENDED,
        "firstline" => ffi::PCRE2_FIRSTLINE,
        "match_unset_backref" => ffi::PCRE2_MATCH_UNSET_BACKREF,
        "multiline" => ffi::PCRE2_MULTILINE,
        "never_ucp" => ffi::PCRE2_NEVER_UCP,
        "never_utf" => ffi::PCRE2_NEVER_UTF,
        "no_auto_capture" => ffi::PCRE2_NO_AUTO_CAPTURE,
        "no_auto_possess" => ffi::PCRE2_NO_AUTO_POSSESS,
        "no_dotstar_anchor" => ffi::PCRE2_NO_DOTSTAR_ANCHOR,
        "no_start_optimize" => ffi::PCRE2_NO_START_OPTIMIZE,
        "ucp" => ffi::PCRE2_UCP,
        "ungreedy" => ffi::PCRE2_UNGREEDY,
        "utf" => ffi::PCRE2_UTF,
        "never_backslash_c" => ffi::PCRE2_NEVER_BACKSLASH_C,
        "alt_circumflex" => ffi::PCRE2_ALT_CIRCUMFLEX,
        "alt_verbnames" => ffi::PCRE2_ALT_VERBNAMES,
        "use_offset_limit" => ffi::PCRE2_USE_OFFSET_LIMIT,
        _ => return None,
    })
}

impl Pattern {
    /// Compiles a pattern. `stack`: first and greatest size in bytes of a stack of its own for compiled code.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        pattern: &str,
        options: u32,
        stack: Option<(usize, usize)>,
    ) -> Result<Self, Invalid> {
        let (mut error, mut offset) = (0, 0);
        // SAFETY: the pattern has that length; the places live across the call.
        let code = unsafe {
            ffi::pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                options,
                &mut error,
                &mut offset,
                ptr::null_mut(),
            )
        };
        if code.is_null() {
            return Err(Invalid {
                offset,
                message: message(error),
            });
        }
        // SAFETY: the code was just compiled. It is no error when it can not be made faster.
        let data = unsafe {
            let _ = ffi::pcre2_jit_compile_8(code, ffi::PCRE2_JIT_PARTIAL_HARD);
            ffi::pcre2_match_data_create_from_pattern_8(code, ptr::null_mut())
        };
        let mut own = Self {
            code,
            data,
            lookbehind: 0,
            context: ptr::null_mut(),
            stack: ptr::null_mut(),
        };
        if data.is_null() {
            return Err(Invalid {
                offset: 0,
                message: message(ffi::PCRE2_ERROR_NOMEMORY),
            });
        }
        let mut lookbehind = 0_u32;
        let place: *mut c_void = (&raw mut lookbehind).cast();
        // SAFETY: this question is answered with a 32-bit number.
        unsafe { ffi::pcre2_pattern_info_8(code, ffi::PCRE2_INFO_MAXLOOKBEHIND, place) };
        own.lookbehind = usize::try_from(lookbehind).unwrap_or(0);
        if let Some((first, greatest)) = stack {
            // SAFETY: null results are left alone; the context uses the stack only while both live.
            unsafe {
                own.context = ffi::pcre2_match_context_create_8(ptr::null_mut());
                own.stack = ffi::pcre2_jit_stack_create_8(first, greatest, ptr::null_mut());
                if !own.context.is_null() && !own.stack.is_null() {
                    ffi::pcre2_jit_stack_assign_8(own.context, None, own.stack.cast());
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
            ffi::pcre2_match_8(
                self.code,
                subject.as_ptr(),
                subject.len(),
                start,
                ffi::PCRE2_PARTIAL_HARD,
                self.data,
                self.context,
            )
        };
        // SAFETY: the data always has at least one pair.
        let first = || unsafe { *ffi::pcre2_get_ovector_pointer_8(self.data) };
        match result {
            0.. => Found::Match(first(), result == 0),
            ffi::PCRE2_ERROR_PARTIAL => Found::Partial(first()),
            ffi::PCRE2_ERROR_NOMATCH => Found::Nothing,
            error => Found::Error(error),
        }
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: all are ours or null, which these functions take.
        unsafe {
            ffi::pcre2_match_context_free_8(self.context);
            ffi::pcre2_jit_stack_free_8(self.stack);
            ffi::pcre2_match_data_free_8(self.data);
            ffi::pcre2_code_free_8(self.code);
        }
    }
}

fn message(error: i32) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: the buffer has that length.
    let length = unsafe { ffi::pcre2_get_error_message_8(error, text.as_mut_ptr(), text.len()) };
    let length = usize::try_from(length).unwrap_or(0);
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
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
    fn what_is_wrong_with_a_pattern() {
        let invalid = Pattern::new("a(b", 0, None).unwrap_err();
        assert_eq!(invalid.offset, 3);
        assert_eq!(invalid.message, "missing closing parenthesis");
    }
}
