//! A real nginx in a namespace, with its configuration, files and logs in a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::lab::Namespace;
use super::process::Process;
use super::wait;

/// Ports that it listens on, over IPv4 and IPv6.
pub(crate) const PORTS: [u16; 4] = [80, 8080, 8081, 9000];

/// A running nginx. Ended when dropped.
pub(crate) struct Nginx {
    process: Process,
    dir: TempDir,
}

impl Nginx {
    /// Starts it in `namespace`; it listens when this returns.
    pub(crate) fn start(namespace: &Namespace) -> Self {
        Self::start_by(&mut namespace.command("nginx"))
    }

    /// As [`Nginx::start`], by a command that runs nginx where it is wanted.
    pub(crate) fn start_by(command: &mut Command) -> Self {
        // Without a master process, so that there is one process to end.
        Self::launch(command, "master_process off;", "")
    }

    /// As [`Nginx::start`], with further servers, in the words of its configuration.
    pub(crate) fn start_with_servers(namespace: &Namespace, servers: &str) -> Self {
        Self::launch(&mut namespace.command("nginx"), "master_process off;", servers)
    }

    /// As [`Nginx::start_by`], with so many workers under a master; they end with the namespace.
    pub(crate) fn start_with_workers(command: &mut Command, workers: usize) -> Self {
        Self::launch(command, &format!("user root; worker_processes {workers};"), "")
    }

    fn launch(command: &mut Command, processes: &str, servers: &str) -> Self {
        let dir = tempfile::tempdir().expect("folder can be made");
        let root = dir.path().to_str().expect("path is text");
        fs::create_dir(dir.path().join("files")).expect("folder can be made");
        fs::write(dir.path().join("nginx.conf"), configuration(root, processes, servers))
            .expect("file can be written");
        command.args(["-p", root, "-c", "nginx.conf", "-e", "error.log"]);
        let mut nginx = Self { process: Process::start(command), dir };
        nginx.wait_until_it_listens();
        nginx
    }

    /// It writes its process id after it has opened its sockets.
    fn wait_until_it_listens(&mut self) {
        let pid = self.dir.path().join("pid");
        wait::until("nginx listens", || {
            assert!(!self.process.has_ended(), "nginx: {}", self.process.stderr());
            fs::read(&pid).is_ok_and(|text| text.ends_with(b"\n"))
        });
    }

    /// Has it serve `content` as `/name`, and as `/chunked/name`, `/gzip/name`, `/site/name` and
    /// `/slow/name` (20 KiB a second).
    pub(crate) fn serve(&self, name: &str, content: &[u8]) {
        fs::write(self.dir.path().join("files").join(name), content).expect("file can be written");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The workers of its master.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("the master is there");
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// A path in its folder, for what a test wants to put there.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn configuration(root: &str, processes: &str, servers: &str) -> String {
    let listen: String =
        PORTS.iter().map(|port| format!("listen {port}; listen [::]:{port}; ")).collect();
    format!(
        "daemon off; {processes} pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  client_max_body_size 64m; keepalive_requests 100000; keepalive_timeout 300; output_buffers 2 1m;
  server {{
    {listen}
    root {root}/files;
    location ~ [.]wav$ {{ types {{ audio/wav wav; }} }}
    location = /moved {{ return 301 /small.bin; }}
    # Server-side includes take the length away: chunked to HTTP/1.1, until the end to HTTP/1.0.
    location /chunked/ {{ alias {root}/files/; ssi on; ssi_types *; }}
    location /gzip/ {{ alias {root}/files/; gzip on; gzip_types *; gzip_min_length 1; }}
    # A page with the types that browsers insist on, what of it is text compressed.
    location = /start {{ return 302 /site/index.html; }}
    location /site/ {{
      alias {root}/files/; gzip on; gzip_types text/css text/javascript; gzip_min_length 1;
      types {{ text/html html; text/css css; text/javascript js; application/json json; image/png png; }}
    }}
    location /audio/ {{ alias {root}/files/; types {{ audio/mpeg mp3; }} }}
    location /slow/ {{ alias {root}/files/; limit_rate 20k; }}
    # Passed on, so that the body is read before the answer.
    location /upload/ {{ proxy_pass http://unix:{root}/upload; }}
  }}
  server {{ listen unix:{root}/upload; return 201; }}
  {servers}
}}
"
    )
}
