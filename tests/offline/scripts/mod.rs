//! `--script`: what scripts are given, what they may do, how they end.

mod examples;
mod fields;
mod life;
mod limits;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::agent::{Agent, Output};
use crate::support::pcap::{Conversation, pcap_of};

/// A folder with a capture in it, and with what a script makes.
struct Scene {
    folder: TempDir,
}

impl Scene {
    /// A capture of so many exchanges on one flow; that of number `n` is `/n`, with status `200 + n`.
    fn of_exchanges(count: usize) -> Self {
        let mut flow = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
        for n in 0..count {
            let request =
                format!("GET /{n}?q=1 HTTP/1.1\r\nHost: example.com\r\nCookie: id=1\r\n\r\n");
            let status = 200 + n % 100;
            let response = format!(
                "HTTP/1.1 {status} OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
            );
            flow = flow.client_sends(request.as_bytes()).server_sends(response.as_bytes());
        }
        Self::of(flow)
    }

    fn of(flow: Conversation) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir")).unwrap();
        fs::write(folder.path().join("x.pcap"), pcap_of(&flow.close().segments())).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `capture-agent read` with this script, and arguments separated by spaces.
    fn agent(&self, script: &str, arguments: &str) -> Agent {
        let file = self.path("x.lua");
        fs::write(&file, script).unwrap();
        self.agent_with(&file, arguments)
    }

    fn agent_with(&self, file: &Path, arguments: &str) -> Agent {
        Agent::read(&self.path("x.pcap"))
            .args([Path::new("--script"), file])
            .args(arguments.split_whitespace())
    }

    fn run(&self, script: &str, arguments: &str) -> Output {
        self.agent(script, arguments).run()
    }

    /// As `run`, with the folder `dir` for the script's files.
    fn run_in_dir(&self, script: &str, arguments: &str) -> Output {
        let dir = self.path("dir");
        self.agent(script, arguments).args([Path::new("--script-dir"), &dir]).run()
    }

    /// What a script prints that ends well.
    #[track_caller]
    fn prints(&self, script: &str, arguments: &str) -> String {
        let output = self.run(script, arguments);
        assert_eq!(output.status, Some(0), "{output:?}");
        output.stdout
    }
}
