//! Lines of `track_interface`, `track_script`, `track_file`, `track_process` and `track_bfd`, in instances and in sync groups.

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::vrrp::{Tracked, Trackers};
use crate::span::Spanned;

/// Whose list it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The instance under construction.
    Instance,
    /// The sync group under construction.
    Group,
}

impl Owner {
    fn trackers<'b>(self, ctx: &'b mut Ctx<'_>) -> Option<&'b mut Trackers> {
        match self {
            Self::Instance => ctx.scratch.vrrp.instance.as_mut().map(|i| &mut *i.track),
            Self::Group => ctx.scratch.vrrp.sync_group.as_mut().map(|g| &mut g.track),
        }
    }
    fn name(self, ctx: &Ctx<'_>) -> String {
        let name = match self {
            Self::Instance => ctx.scratch.vrrp.instance.as_ref().map(|i| &i.name.value),
            Self::Group => ctx.scratch.vrrp.sync_group.as_ref().map(|g| &g.name.value),
        };
        name.map_or_else(String::new, |n| n.to_string())
    }
}

/// What kind of object is tracked; the sentences differ by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Interface,
    Script,
    File,
    Process,
    Bfd,
}

impl Kind {
    fn list(self, trackers: &mut Trackers) -> &mut Vec<Tracked> {
        match self {
            Self::Interface => &mut trackers.interfaces,
            Self::Script => &mut trackers.scripts,
            Self::File => &mut trackers.files,
            Self::Process => &mut trackers.processes,
            Self::Bfd => &mut trackers.bfds,
        }
    }
    const fn keyword(self) -> &'static str {
        match self {
            Self::Interface => "track_interface",
            Self::Script => "track_script",
            Self::File => "track_file",
            Self::Process => "track_process",
            Self::Bfd => "track_bfd",
        }
    }
    /// Words of the sentence about a missing value.
    const fn spoken(self) -> &'static str {
        match self {
            Self::Interface => "track_interface",
            Self::Script => "track script",
            Self::File => "track file",
            Self::Process => "track process",
            Self::Bfd => "track bfd",
        }
    }
    const fn limit(self) -> i32 {
        match self {
            Self::Bfd => 253,
            _ => 254,
        }
    }

    /// Weight and reverse flag of the object itself; none, after a report, if there is no such object.
    fn base(self, ctx: &mut Ctx<'_>, owner: &str, name: &str) -> Option<(i16, bool)> {
        let vrrp = &ctx.model.vrrp;
        let found = match self {
            Self::Interface => ctx.accept_interface(name).then_some((0, false)),
            Self::Script => vrrp.script(name).map(|s| (s.weight, s.reverse)),
            Self::File => vrrp
                .track_files
                .iter()
                .find(|f| &**f.name == name)
                .map(|f| (f.weight, f.reverse)),
            Self::Process => vrrp
                .track_processes
                .iter()
                .find(|p| &**p.name == name)
                .map(|p| (p.weight, p.reverse)),
            Self::Bfd => ctx
                .model
                .bfd
                .tracked
                .iter()
                .find(|b| &**b.name == name)
                .map(|b| (b.weight, b.reverse)),
        };
        if found.is_none() {
            let text = if self == Self::Interface {
                format!("({owner}) tracked interface {name} doesn't exist")
            } else {
                format!("({owner}) {} {name} not found, ignoring...", self.spoken())
            };
            ctx.report(Class::GeneralError, text);
        }
        found
    }

    /// Reads the weight; keeps `default` after a report.
    fn weight(self, ctx: &mut Ctx<'_>, owner: &str, name: &str, word: &str, default: i16) -> i16 {
        let limit = self.limit();
        let Some(weight) = ctx.read_int(word, -limit, limit, true) else {
            let text = match self {
                Self::Interface => format!(
                    "({owner}) weight {word} for {name} must be between [-253..253] inclusive. Ignoring..."
                ),
                Self::Script => format!(
                    "({owner}) track script {name}: weight must be between [-253..253] inclusive, ignoring..."
                ),
                _ => format!(
                    "({owner}) weight for {} {name} must be in [-{limit}..{limit}] inclusive. Ignoring...",
                    self.spoken()
                ),
            };
            ctx.report(Class::GeneralError, text);
            return if self == Self::Interface { 0 } else { default };
        };
        let weight = i16::try_from(weight).unwrap_or(default);
        if matches!(self, Self::Interface | Self::Script) && weight.abs() == 254 {
            ctx.report(
                Class::GeneralError,
                format!("({owner}) weight for {name} cannot be +/-254. Setting to +/-253"),
            );
            return weight.signum() * 253;
        }
        weight
    }

    /// The sentence about an unknown word in the place of `weight`.
    fn unknown_option(self, owner: &str, name: &str, word: &str) -> String {
        match self {
            Self::Interface => {
                format!("({owner}) unknown track_interface {name} option {word} - ignoring")
            }
            Self::Bfd => format!("({owner}) unknown track bfd {name} option {word} - ignoring"),
            _ => format!(
                "({owner}) unknown {} option {word} - ignoring",
                self.spoken()
            ),
        }
    }

    /// The sentence about an unknown word after the weight, and whether the whole line is dropped.
    fn unknown_weight_option(self, owner: &str, name: &str, word: &str) -> (String, bool) {
        // The original's spelling.
        let (spoken, drop) = match self {
            Self::Interface => ("track_interace", false),
            Self::Script => ("track_script", false),
            Self::Process => ("track_process", false),
            Self::File => ("track file", true),
            Self::Bfd => ("track bfd", true),
        };
        (
            format!("({owner}) unknown {spoken} {name} weight option {word} - ignoring"),
            drop,
        )
    }
}

/// The whole block.
pub(super) fn block(ctx: &mut Ctx<'_>, line: &Line, owner: Owner, kind: Kind) -> Flow {
    ctx.value_block(line, |ctx, line| entry(ctx, line, owner, kind))
}

fn entry(ctx: &mut Ctx<'_>, line: &Line, owner: Owner, kind: Kind) -> Flow {
    let name = line.word(ctx, 0)?;
    let of = owner.name(ctx);
    let Some((mut weight, mut reverse)) = kind.base(ctx, &of, name) else {
        return Ok(());
    };
    let twice = owner
        .trackers(ctx)
        .is_some_and(|t| kind.list(t).iter().any(|e| &**e.name == name));
    if twice {
        let keyword = kind.keyword();
        ctx.report(
            Class::GeneralError,
            format!("({of}) duplicate {keyword} {name} - ignoring"),
        );
        return Ok(());
    }
    if let Some(word) = line.get(1) {
        if word != "weight" {
            let text = kind.unknown_option(&of, name, word);
            ctx.report(Class::GeneralError, text);
            return Ok(());
        }
        let Some(word) = line.get(2) else {
            let spoken = kind.spoken();
            ctx.report(
                Class::GeneralError,
                format!("({of}) weight without value specified for {spoken} {name} - ignoring"),
            );
            return Ok(());
        };
        weight = kind.weight(ctx, &of, name, word, weight);
        match line.get(3) {
            None => {}
            Some("reverse") => reverse = true,
            Some("noreverse") if kind != Kind::Interface => reverse = false,
            Some(word) => {
                let (text, drop) = kind.unknown_weight_option(&of, name, word);
                ctx.report(Class::GeneralError, text);
                if drop {
                    return Ok(());
                }
            }
        }
    }
    let tracked = Tracked {
        name: Spanned::new(name.into(), line.span_of(0)),
        weight,
        reverse,
    };
    if let Some(trackers) = owner.trackers(ctx) {
        kind.list(trackers).push(tracked);
    }
    if kind == Kind::Script {
        let scripts = &mut ctx.model.vrrp.scripts;
        if let Some(script) = scripts.iter_mut().find(|s| &**s.name == name) {
            script.init_fail = false;
        }
    }
    Ok(())
}
