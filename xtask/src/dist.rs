//! `cargo xtask dist`: the agent, with all that belongs beside it where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::run;
use crate::tool::{Tool as _, target, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// Folder to lay it out in, as under /usr/local [default: dist in the target folder]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Where shells look for completions under a prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/capture-agent"),
    ("zsh", "share/zsh/site-functions/_capture-agent"),
    ("fish", "share/fish/vendor_completions.d/capture-agent.fish"),
];

/// Files of the repository, and where they go.
const FILES: [(&str, &str); 3] = [
    ("dist/capture-agent.service", "lib/systemd/system/capture-agent.service"),
    ("LICENSE-MIT", "share/doc/capture-agent/LICENSE-MIT"),
    ("LICENSE-APACHE", "share/doc/capture-agent/LICENSE-APACHE"),
];

/// Folders of the repository, of which all files go there.
const FOLDERS: [(&str, &str, &str); 4] = [
    ("dist", "toml", "share/doc/capture-agent/examples"),
    ("dist/grafana", "json", "share/doc/capture-agent/grafana"),
    ("dist/prometheus", "yml", "share/doc/capture-agent/prometheus"),
    ("examples", "lua", "share/doc/capture-agent/examples"),
];

/// Builds in release, and lays out.
pub(crate) fn dist(options: &Options) -> Result<()> {
    let agent = run::build()?;
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => target()?.join("dist"),
    };
    lay_out(&agent, &folder)?;
    eprintln!("dist: {} has all of it; as root: cp -r {0}/. /usr/local/", folder.display());
    Ok(())
}

fn lay_out(agent: &Path, folder: &Path) -> Result<()> {
    let root = workspace();
    copy(agent, &folder.join("bin/capture-agent"))?;
    for (from, to) in FILES {
        copy(&root.join(from), &folder.join(to))?;
    }
    for (from, extension, to) in FOLDERS {
        for entry in fs::read_dir(root.join(from))? {
            let path = entry?.path();
            let Some(name) = path.file_name() else { continue };
            if path.extension().is_some_and(|end| end == extension) {
                copy(&path, &folder.join(to).join(name))?;
            }
        }
    }
    for (shell, to) in COMPLETIONS {
        let script = Command::new(agent).args(["completions", shell]).read()?;
        let to = folder.join(to);
        make_parent(&to)?;
        fs::write(&to, script).with_context(|| format!("can't write {}", to.display()))?;
    }
    Command::new(agent).arg("man").arg(folder.join("share/man/man8")).run()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to)
        .with_context(|| format!("can't copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn make_parent(of: &Path) -> Result<()> {
    let Some(parent) = of.parent() else { return Ok(()) };
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Says its arguments, and makes the folder of man pages as the agent does.
    const AGENT: &str =
        "#!/bin/sh\n[ $1 = man ] && mkdir -p \"$2\" && touch \"$2/x.8\"\necho \"$@\"\n";

    #[test]
    fn everything_lies_where_it_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        fs::write(&agent, AGENT).unwrap();
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
        let laid = folder.path().join("laid/out");
        lay_out(&agent, &laid).unwrap();
        // Once more over what is there.
        lay_out(&agent, &laid).unwrap();
        let own = FILES.iter().map(|(_, to)| *to).chain(COMPLETIONS.iter().map(|(_, to)| *to));
        let examples = ["capture-agent.toml", "slowest_endpoints.lua"]
            .map(|name| format!("share/doc/capture-agent/examples/{name}"));
        for file in own.chain(["bin/capture-agent", "share/man/man8/x.8"]) {
            assert!(laid.join(file).is_file(), "{file}");
        }
        for file in examples {
            assert!(laid.join(&file).is_file(), "{file}");
        }
        let mode = fs::metadata(laid.join("bin/capture-agent")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        let bash = fs::read_to_string(laid.join(COMPLETIONS[0].1)).unwrap();
        assert_eq!(bash, "completions bash\n");
    }
}
