//! The load: nginx with files of mixed sizes, and wrk asking for them as fast as they come.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::beside::Beside;
use super::lab::{Lab, SERVER};
use crate::tool::Tool as _;

/// Sizes of files in bytes, and how many of 100 requests are for them: 7.9 KB on average.
const SIZES: [(usize, u32); 7] =
    [(200, 20), (500, 20), (1_000, 25), (4_000, 20), (16_000, 10), (64_000, 4), (256_000, 1)];

/// Connections that wrk keeps open.
pub(super) const CONNECTIONS: u64 = 64;

/// Heads as browsers send them.
const HEADERS: [(&str, &str); 7] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.8,de;q=0.5"),
    ("Accept-Encoding", "identity"),
    ("Referer", "http://shop.example.com/catalogue/17"),
    ("Cookie", "session=5f0c2d9a77e14c6f; theme=dark"),
    ("Cache-Control", "max-age=0"),
];

/// A running nginx, with a folder that both it and wrk have things in.
pub(super) struct Nginx {
    _server: Beside,
    folder: PathBuf,
}

impl Nginx {
    pub(super) fn start(lab: &Lab, folder: &Path) -> Result<Self> {
        let files = folder.join("files");
        fs::create_dir_all(&files)?;
        for (size, _) in SIZES {
            let line = b"The window of a segment is what its receiver has room for.\n";
            let content: Vec<u8> = line.iter().copied().cycle().take(size).collect();
            fs::write(files.join(format!("{size}.txt")), content)?;
        }
        fs::write(folder.join("nginx.conf"), configuration(folder))?;
        fs::write(folder.join("wrk.lua"), script())?;
        // It says that it listens by a notice.
        let mut command = lab.server.command("nginx");
        command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]);
        let server = Beside::start(&mut command, "")?;
        let nginx = Self { _server: server, folder: folder.to_owned() };
        nginx.wait(lab)?;
        Ok(nginx)
    }

    /// A file of so many zeros, which take no room.
    pub(super) fn serve_zeros(&self, name: &str, bytes: u64) -> Result<()> {
        let path = self.folder.join("files").join(name);
        Ok(File::create(path)?.set_len(bytes)?)
    }

    fn wait(&self, lab: &Lab) -> Result<()> {
        let mut ask = lab.client.command("curl");
        ask.args(["--silent", "--fail", "--retry", "50", "--retry-connrefused"])
            .args(["--retry-delay", "1", "--output", "/dev/null"])
            .arg(format!("http://{SERVER}/200.txt"));
        ask.read().map(drop).context("nginx does not answer")
    }
}

/// As a distribution has it: requests are logged (to where it costs no room), files are opened each
/// time.
fn configuration(folder: &Path) -> String {
    let root = folder.display();
    format!(
        "daemon off; user root; worker_processes auto; pid {root}/pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log /dev/null combined; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 300;
  types {{ text/plain txt; }} default_type application/octet-stream;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  server {{
    listen 80;
    root {root}/files;
    add_header Cache-Control \"public, max-age=3600\";
    add_header X-Content-Type-Options nosniff;
    add_header Vary Accept-Encoding;
  }}
}}
"
    )
}

/// All requests are made beforehand: the script shall not be what is slow.
fn script() -> String {
    let headers: String = HEADERS
        .iter()
        .map(|(name, value)| format!("wrk.headers[\"{name}\"] = \"{value}\"\n"))
        .collect();
    let sizes: Vec<_> = SIZES.iter().map(|(size, share)| format!("{{{size}, {share}}}")).collect();
    let sizes = sizes.join(", ");
    format!(
        "{headers}local requests = {{}}
function init(args)
  for _, size in ipairs({{{sizes}}}) do
    for i = 1, size[2] do
      requests[#requests + 1] = wrk.format(\"GET\", \"/\" .. size[1] .. \".txt?\" .. i)
    end
  end
end
function request() return requests[math.random(#requests)] end
function done(summary)
  local e = summary.errors
  io.write(string.format(\"counted %d %d %d %d\\n\", summary.requests, summary.duration,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
"
    )
}

/// What wrk counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

impl Counted {
    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    pub(super) fn gigabits_per_second(&self) -> f64 {
        self.bytes as f64 * 8e-9 / self.took.as_secs_f64()
    }

    fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix("counted "))?;
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (requests, micros, bytes, errors) = (next()?, next()?, next()?, next()?);
        let took = Duration::from_micros(micros);
        (errors == 0).then_some(Self { requests, bytes, took })
    }
}

/// As fast as they go, for so long.
pub(super) fn wrk(lab: &Lab, nginx: &Nginx, seconds: u64) -> Result<Counted> {
    let mut wrk = lab.client.command("wrk");
    wrk.args(["--threads", "2", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(nginx.folder.join("wrk.lua"))
        .arg(format!("http://{SERVER}/"));
    let output = wrk.read()?;
    let counted = Counted::parse(&output)
        .with_context(|| format!("wrk counted nothing, or had errors: {output}"))?;
    ensure!(counted.requests > 0, "wrk had no answer");
    Ok(counted)
}

/// Downloads a file so many times over one connection; the bytes of bodies, and how long it took.
pub(super) fn download(lab: &Lab, name: &str, times: u32) -> Result<Counted> {
    let mut curl = lab.client.command("curl");
    curl.args(["--silent", "--fail", "--output", "/dev/null"])
        .args(["--write-out", "%{size_download}\n"])
        .arg(format!("http://{SERVER}/{name}?[1-{times}]"));
    let begin = std::time::Instant::now();
    let output = curl.read()?;
    let took = begin.elapsed();
    let sizes = output.lines().filter_map(|line| line.parse::<u64>().ok());
    let (requests, bytes) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
    ensure!(requests == u64::from(times), "curl had {requests} answers, not {times}");
    Ok(Counted { requests, bytes, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_counted_is_read_unless_it_had_errors() {
        let counted = Counted::parse("Running 3s test\ncounted 70000 2000000 123 0\n").unwrap();
        assert_eq!((counted.requests, counted.bytes), (70_000, 123));
        assert_eq!(counted.per_second(), 35_000.0);
        assert!(Counted::parse("counted 70000 2000000 123 1\n").is_none());
        assert!(Counted::parse("unable to connect\n").is_none());
    }

    #[test]
    fn of_a_hundred_requests_each_has_a_size() {
        assert_eq!(SIZES.iter().map(|(_, share)| share).sum::<u32>(), 100);
    }
}
