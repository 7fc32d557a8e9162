//! Opens outputs that grow by the same rules.

use std::io;
use std::sync::Arc;

use super::file::rules::Rules;
use super::file::{Files, Guardian};
use super::formats::Formatter;
use super::notice::{Notice, Report};
use super::{Format, Output, OutputError, Target, Verbosity};

/// Opens outputs that grow by the same rules, and are guarded by the same process.
#[derive(Debug, Default)]
pub struct Opener {
    rules: Rules,
    guardian: Option<Arc<Guardian>>,
    report: Report,
}

impl Opener {
    /// By these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Has someone told what is to be known at once.
    #[must_use]
    pub fn with_report(self, who: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self { report: Report::to(who), ..self }
    }

    /// Opens an output. A file is made anew, for its owner's eyes alone, once the outputs begin, and
    /// stays as it is until then; files that follow one another are made as there is something to
    /// write.
    ///
    /// # Errors
    /// If it can't be written to.
    pub fn open(
        &mut self,
        format: Format,
        target: Target,
        verbosity: Verbosity,
    ) -> Result<Output, OutputError> {
        let mut format = Formatter::new(format, verbosity, target == Target::Stdout);
        let mut frame = Vec::new();
        format.start(&mut frame);
        frame.extend_from_slice(format.end());
        let Self { rules, guardian, report, .. } = self;
        let files = Files::open(&target, rules, &frame, || guard(rules, guardian))?;
        Ok(Output::new(format, target, files, rules.clock, report.clone()))
    }

    /// All outputs together.
    #[must_use]
    pub fn outputs(self, outputs: Vec<Output>) -> super::Outputs {
        super::Outputs::new(outputs).with_report(self.report)
    }
}

/// The guardian, started with the first file that it is to guard.
fn guard(rules: &Rules, guardian: &mut Option<Arc<Guardian>>) -> io::Result<Option<Arc<Guardian>>> {
    if rules.guarded && guardian.is_none() {
        *guardian = Some(Arc::new(Guardian::start()?));
    }
    Ok(guardian.clone())
}
