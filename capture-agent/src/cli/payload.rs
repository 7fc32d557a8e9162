//! Arguments for payload files.

use std::path::PathBuf;

use clap::Args;
use clap::error::ErrorKind;

use super::{CommonArgs, EventArg};

/// Arguments for payload files.
#[derive(Clone, Debug, Args)]
pub(crate) struct PayloadArgs {
    /// Save what requests and responses carry, decoded, each in a file of its own in this folder,
    /// which is made if it is not there
    ///
    /// Saved are the bodies of the exchanges that are shown; with --content-type only those of such a
    /// type. They are written as they come in, so they may be of any length, and one that is not
    /// whole keeps a name that ends in .part. Secrets are hidden in forms, and looked for nowhere
    /// else. index.jsonl in the folder has a line for each file: its exchange, type, size, SHA-256
    /// and state. Nothing that is there already is written over.
    #[arg(long, value_name = "DIR")]
    pub(crate) save_bodies: Option<PathBuf>,
}

impl PayloadArgs {
    /// What does not fit the other arguments.
    pub(super) fn check(&self, common: &CommonArgs) -> Result<(), clap::Error> {
        if self.save_bodies.is_none() || common.events.contains(&EventArg::Exchange) {
            return Ok(());
        }
        let message = "--save-bodies saves what the exchanges carry that are shown: \
                       add 'exchange' to --events\n";
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    #[test]
    fn bodies_are_those_of_exchanges_that_are_shown() {
        let check = |events: &str| {
            let args = ["capture-agent", "read", "x", "--save-bodies", ".", "--events", events];
            let cli = Cli::try_parse_from(args).unwrap();
            let Command::Read(_) = &cli.command else { panic!("not read") };
            cli.check()
        };
        assert!(check("exchange,flow").is_ok());
        let error = check("flow,stats").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("add 'exchange' to --events"), "{error}");
    }
}
