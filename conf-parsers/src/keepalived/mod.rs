//! keepalived.conf: text to [`Model`](model::Model).
//!
//! Two steps: [`read`] turns files into [`Lines`] (once, in the parent), [`parse`] turns lines into a model (once per process).

pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod glob;
pub mod interfaces;
pub mod iproute_names;
pub mod keywords;
pub mod lines;
pub mod model;
pub mod number;
pub mod reader;
pub mod requote;
pub mod script;
pub mod sockaddr;
pub mod text;
pub mod validate;

pub use engine::{Ctx, Exit, Flow, Line, Outcome, ParseOptions, Part, Word};
pub use lines::Lines;
pub use reader::{ReadOptions, read};

use crate::source::Host;

/// Parses the lines for one process. `inherited` is the parent's global model for a child at start; a child that reloads reads
/// global_defs itself and passes none. Checks that the original makes after reading are [`validate`]'s.
pub fn parse(
    lines: &Lines,
    part: Part,
    host: &dyn Host,
    options: &ParseOptions,
    inherited: Option<&model::Global>,
) -> Outcome {
    host.refresh();
    let mut model = model::Model::default();
    if let Some(global) = inherited {
        model.global = global.clone();
    }
    let dirs = &model.global;
    host.set_iproute_dirs(
        dirs.iproute_etc_dir.as_deref(),
        dirs.iproute_usr_dir.as_deref(),
    );
    let mut ctx = Ctx::new(lines, part, host, options, model);
    let mut exit = None;
    if lines.opened {
        exit = ctx
            .run()
            .and_then(|()| validate::after(&mut ctx))
            .err()
            .map(|e| e.0);
    }
    ctx.finish(exit)
}
