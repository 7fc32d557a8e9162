//! `--metrics`: the server beside the capture, and what the capture tells it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use capture_agent::event::Stats;
use capture_agent::metrics::{Board, Live, Server, Snapshot};
use capture_agent::output::{Outputs, QueueDepth, aside};

use crate::cli::CommonArgs;

/// What `--metrics` asks for; nothing where it is not given.
#[derive(Debug)]
pub(super) struct Metrics {
    server: Option<Server>,
}

impl Metrics {
    /// Listens, before anything is captured or written.
    pub(super) fn bind(args: &CommonArgs) -> anyhow::Result<Self> {
        let Some(address) = args.metrics.metrics else { return Ok(Self { server: None }) };
        let server = Server::bind(address).map_err(|error| {
            let advice = advice(error.kind());
            anyhow::Error::new(error)
                .context(format!("--metrics can't listen on {address}{advice}"))
        })?;
        Ok(Self { server: Some(server) })
    }

    /// Has the outputs watched.
    pub(super) fn watch(&self, outputs: Outputs) -> Outputs {
        if self.server.is_some() { outputs.watched() } else { outputs }
    }

    /// Says where the metrics are.
    pub(super) fn say(&self, args: &CommonArgs) {
        let Some(server) = &self.server else { return };
        // Nobody else can tell a port that the kernel chose.
        let is_chosen = args.metrics.metrics.is_some_and(|asked| asked.port() == 0);
        if !args.quiet || is_chosen {
            aside::say(format_args!("metrics at http://{}/metrics", server.address()));
        }
    }

    /// Answers, as long as it is polled, from what the teller tells.
    pub(super) fn serve(
        self,
        outputs: &Outputs,
    ) -> (impl Future<Output = io::Result<()>> + use<>, Teller) {
        let board = outputs.progress().cloned().map(|progress| Arc::new(Board::new(progress)));
        let teller = Teller { board: board.clone() };
        let serve = async {
            let Some((server, board)) = self.server.zip(board) else { return Ok(()) };
            server.serve(board).await
        };
        (serve, teller)
    }
}

/// What to do where an address can't be listened on.
const fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "; give another one, or 0 for one that is free",
        io::ErrorKind::AddrNotAvailable => "; give an address that this host has",
        io::ErrorKind::PermissionDenied => "; ports below 1024 take root",
        _ => "",
    }
}

/// Tells how the capture stands, when that is asked for.
#[derive(Debug)]
pub(super) struct Teller {
    board: Option<Arc<Board>>,
}

impl Teller {
    /// The calling thread will tell.
    pub(super) fn conduct(&self) {
        self.board.iter().for_each(|board| board.conduct());
    }

    /// Whether anybody may ask.
    pub(super) const fn is_heard(&self) -> bool {
        self.board.is_some()
    }

    /// Whether it is asked for now.
    pub(super) fn is_asked(&self) -> bool {
        self.board.as_ref().is_some_and(|board| board.is_asked())
    }

    /// Tells it, but for what the outputs know.
    pub(super) fn tell(&self, stats: Stats, queues: Vec<QueueDepth>, live: Option<Live>) {
        let Some(board) = &self.board else { return };
        let mut troubles = Vec::new();
        if live.as_ref().is_some_and(|live| live.interfaces == 0) {
            troubles
                .push("no interface is captured on: none that is asked for is there".to_owned());
        }
        if let Some(recorded) = stats.recorded.as_ref().filter(|recorded| recorded.failed > 0) {
            troubles.push(format!("{} can't be written any more", recorded.output));
        }
        board.publish(Snapshot { drawn_up: Instant::now(), stats, queues, live, troubles });
    }
}
