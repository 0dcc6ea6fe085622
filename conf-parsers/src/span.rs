//! Where a value stood: file, line, column.

/// Number of a configuration file in the order of first opening; the names are in [`crate::source::Files`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileId(pub u16);

/// One place in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// 1-based line of that file, where the pieces of a line that is too long count as lines ([`crate::source::FileName::unended`]); 0
    /// when the place is the file as a whole.
    pub line: u32,
    /// 1-based byte column *after* macro expansion; 0 = the whole line.
    pub col: u16,
}

impl Span {
    /// The place of column `col` on the same line.
    pub fn at(self, col: usize) -> Self {
        Self {
            col: u16::try_from(col).unwrap_or(u16::MAX),
            ..self
        }
    }
}

/// A value together with the place that set it. Compares by value only, so that a reload that moves a line changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spanned<T> {
    /// What the operator wrote.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins value and place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<T: Eq> Eq for Spanned<T> {}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
