//! `--format curl`: commands that send requests again, run by a real shell with a real curl.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::support::agent::Agent;
use crate::support::pcap::ACK;
use crate::support::peers::{Peers, capture_of};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What the agent writes of a request to this server.
fn commands(server: &str, request: &[u8], args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pcap");
    let mut peers = Peers::between("127.0.0.1:51234", server);
    peers.handshake();
    for part in request.chunks(1_400) {
        peers.client_says(ACK, part);
    }
    peers.server(OK);
    peers.close();
    fs::write(&file, capture_of(&peers.seen)).unwrap();
    let args = [&["--format", "curl", "--quiet"], args].concat();
    Agent::read(&file).args(args).run().stdout
}

/// What a server gets from the commands that a shell runs.
fn sent(listener: &TcpListener, commands: &str) -> Vec<u8> {
    let listener = listener.try_clone().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 65_536];
        while !is_whole(&request) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(OK.as_bytes()).unwrap();
        request
    });
    let mut shell = Command::new("sh");
    let clean = ["http_proxy", "ALL_PROXY", "all_proxy"];
    clean.iter().for_each(|name| _ = shell.env_remove(name));
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success(), "{commands}");
    server.join().unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some(end) = request.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    if text.contains("transfer-encoding: chunked") {
        return request.ends_with(b"\r\n0\r\n\r\n");
    }
    let length = text.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
    request.len() >= end + 4 + length.map_or(0, |it| it.parse::<usize>().unwrap())
}

/// The start line, the fields in the order of their names, and the body.
fn parts(request: &[u8]) -> (String, Vec<String>, Vec<u8>) {
    let end = request.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let start = lines.next().unwrap();
    let mut fields: Vec<_> = lines.collect();
    fields.sort();
    (start, fields, request[end + 4..].to_vec())
}

/// Sends a request again, and asserts that the server gets it as it was.
#[track_caller]
fn assert_sent_again(head: &str, body: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let head = head.replace("SERVER", &server);
    let request = [head.as_bytes(), body].concat();
    let commands = commands(&server, &request, &["--show-secrets", "--bodies=1MiB"]);
    assert_eq!(parts(&sent(&listener, &commands)), parts(&request), "{commands}");
}

#[test]
fn a_request_is_sent_again_as_it_was() {
    assert_sent_again(
        "GET /a?b=c HTTP/1.1\r\nHost: SERVER\r\nUser-Agent: x/1\r\nAccept: */*\r\n\r\n",
        b"",
    );
    // Fields that curl would add, an empty one, one that is there twice.
    assert_sent_again("GET / HTTP/1.1\r\nHost: SERVER\r\nX-Empty:\r\nX: 1\r\nX: 2\r\n\r\n", b"");
    // A host that no resolver knows.
    assert_sent_again("GET / HTTP/1.1\r\nHost: shop.invalid\r\nCookie: a=b\r\n\r\n", b"");
    // Hosts that curl would write in another way.
    for host in ["shop.invalid:80", "shop.invalid:", "0x7f.1", "[0:0::1]"] {
        assert_sent_again(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), b"");
    }
    assert_sent_again("HEAD /x HTTP/1.0\r\nHost: SERVER\r\n\r\n", b"");
    assert_sent_again("OPTIONS * HTTP/1.1\r\nHost: SERVER\r\n\r\n", b"");
    assert_sent_again("DELETE /a/../b%2F/./c#d HTTP/1.1\r\nHost: SERVER\r\n\r\n", b"");
    assert_sent_again("GET /[1-3]/{a,b}?q[]=1 HTTP/1.1\r\nHost: SERVER\r\n\r\n", b"");
    assert_sent_again("GET http://other.invalid/x HTTP/1.1\r\nHost: other.invalid\r\n\r\n", b"");
}

#[test]
fn so_is_its_body_whatever_it_is() {
    let head = |method: &str, body: &[u8], more: &str| {
        let length = body.len();
        format!("{method} /x HTTP/1.1\r\nHost: SERVER\r\nContent-Length: {length}\r\n{more}\r\n")
    };
    let large: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let bodies: [&[u8]; 8] = [
        b"",
        b"a=b&c=it's",
        b"@/etc/passwd",
        b"-d x",
        b"{\n  \"a\": \"%s \\n\"\n}\n",
        b"\0\x01\xff\x1b[31m",
        "grün 日本\u{202e}".as_bytes(),
        &large,
    ];
    for body in bodies {
        assert_sent_again(&head("POST", body, "Content-Type: application/json\r\n"), body);
        assert_sent_again(&head("PUT", body, ""), body);
    }
    assert_sent_again(&head("GET", b"why", ""), b"why");
    let chunked = "POST /x HTTP/1.1\r\nHost: SERVER\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_sent_again(chunked, b"3\r\nabc\r\n0\r\n\r\n");
}

/// What a shell or curl could take for something else than data, in each place of a request.
const EVIL: [&str; 12] = [
    "'; touch OWNED; '",
    "$(touch OWNED)",
    "`touch OWNED`",
    "\"; touch OWNED; \"",
    "\\'; touch OWNED #",
    "x & touch OWNED & y",
    "| touch OWNED |",
    "--output OWNED",
    "-o OWNED",
    "@OWNED",
    "\x1b[2J$(touch OWNED)\x07",
    "\r'; touch OWNED; '",
];

#[test]
fn nothing_that_was_sent_is_taken_for_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let curl = folder.path().join("curl");
    fs::write(&curl, "#!/bin/sh\nfor a; do printf '%s\\0' \"$a\"; done\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&curl, mode).unwrap();
    for evil in EVIL {
        let words = evil.replace(' ', "${IFS}");
        let requests = [
            format!("GET /{words} HTTP/1.1\r\nHost: h\r\n\r\n"),
            format!("GET {words} HTTP/1.1\r\nHost: h\r\n\r\n"),
            format!("{words} / HTTP/1.1\r\nHost: h\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {evil}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: h\r\n{evil}: x\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{evil}", evil.len()),
            format!(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{evil}\n",
                evil.len() + 1
            ),
        ];
        for request in requests {
            let commands = commands("10.0.0.1:80", request.as_bytes(), &[]);
            assert!(
                !commands.contains(|char: char| char.is_control() && char != '\n'),
                "{commands:?}"
            );
            let arguments = run_in(folder.path(), &commands);
            let owned = folder.path().join("OWNED");
            assert!(!owned.exists(), "{commands}");
            assert_is_one_call(&arguments, &commands);
        }
    }
}

/// One URL, and options that the agent gives, each with its value.
#[track_caller]
fn assert_is_one_call(arguments: &str, commands: &str) {
    let mut arguments = arguments.split_terminator('\0');
    let mut urls = 0;
    while let Some(argument) = arguments.next() {
        let value = match argument {
            "--globoff" | "--head" | "--http1.0" => continue,
            "--request-target" | "--connect-to" | "-H" | "-X" | "--data-raw" | "--data-binary" => {
                arguments.next().expect(commands)
            }
            url => {
                assert!(url.starts_with("http://"), "{url:?} in {commands}");
                urls += 1;
                continue;
            }
        };
        match argument {
            "-H" => assert!(!value.starts_with('@') && value.contains([':', ';']), "{commands}"),
            "--data-binary" => assert_eq!(value, "@-"),
            _ => {}
        }
    }
    let is_none = commands.lines().all(|line| line.is_empty() || line.starts_with('#'));
    assert_eq!(urls, usize::from(!is_none), "{commands}");
}

/// What a shell writes that runs commands in a folder whose programs come first.
fn run_in(folder: &Path, commands: &str) -> String {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut shell = Command::new("sh");
    shell.current_dir(folder).env("PATH", path).args(["-c", commands]).stdin(Stdio::null());
    let output = shell.output().unwrap();
    assert!(output.stderr.is_empty(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_missing_is_said_and_secrets_stay_hidden() {
    let secret = b"GET /?token=s3cret HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\n\r\n";
    let text = commands("10.0.0.1:80", secret, &[]);
    assert!(!text.contains("s3cret") && text.contains("-H 'Authorization: [redacted]'"), "{text}");
    assert!(text.contains("# Secrets are hidden: --show-secrets shows them.\n"), "{text}");
    assert!(commands("10.0.0.1:80", secret, &["--show-secrets"]).contains("Bearer s3cret"));
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nsome data";
    let cut = commands("10.0.0.1:80", post, &["--bodies=4"]);
    assert!(cut.contains("# Only the first 4 B of its body are here.\n"), "{cut}");
    assert!(cut.contains("--data-raw 'some'"), "{cut}");
    let none = commands("10.0.0.1:80", post, &["--bodies=0"]);
    assert!(none.contains("# Its body of 9 B is not here: --bodies keeps it.\n"), "{none}");
    let tunnel = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n";
    let tunnel = commands("10.0.0.1:80", tunnel, &[]);
    assert!(tunnel.lines().all(|line| line.is_empty() || line.starts_with('#')), "{tunnel}");
}

#[test]
fn a_file_of_commands_is_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let (file, script) = (folder.path().join("x.pcap"), folder.path().join("x.sh"));
    let mut peers = Peers::open();
    peers.client("GET /a HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n");
    peers.server(OK);
    peers.close();
    fs::write(&file, capture_of(&peers.seen)).unwrap();
    let output = Agent::read(&file).args(["--output", script.to_str().unwrap()]).run();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let expected = "\
# 00:00:01.004  10.0.0.5:51234 → 10.0.0.1:80  answered with 200 in 1.00 ms
curl 'http://example.com/a' \\
  --connect-to '::10.0.0.1:80' \\
  -H 'Accept: */*' \\
  -H 'User-Agent:'

";
    assert_eq!(fs::read_to_string(script).unwrap(), expected);
}
