//! What people see on terminals, as snapshots: `UPDATE_SCREENS=1` writes them anew, and whoever does
//! that looks at them (`cat tests/fixtures/screens/...` shows the colours, too).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::pcap::ACK;
use crate::support::peers::{MS, Peers, Seen, capture_of};
use crate::support::terminal::{Terminal, columns, plain};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/screens");

/// What stays silent is not a text.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0\x1f\xf3\xffa";

fn response(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What one is likely to meet: a shop's server for a few seconds.
fn everyday() -> Vec<Seen> {
    let mut peers = Peers::open();
    let ask = |peers: &mut Peers, request: &str, more: &str, wait: u64, answer: &[u8]| {
        peers.client(&format!("{request} HTTP/1.1\r\nHost: shop.example.com\r\n{more}\r\n"));
        peers.wait(wait);
        peers.server_says(ACK, answer);
    };
    let items =
        r#"{"items":[{"id":1,"name":"Käse","price":2.50},{"id":2,"name":"日本茶"}],"more":false}"#;
    let browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
                   Accept: application/json\r\nCookie: session=0123456789abcdef\r\n";
    ask(
        &mut peers,
        "GET /api/items",
        browser,
        0,
        &response("200 OK", "application/json", items.as_bytes()),
    );
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 27\r\n\r\nname=anna&password=hunter22";
    peers.client(&format!("POST /login HTTP/1.1\r\nHost: shop.example.com\r\n{form}"));
    peers.wait(23 * MS);
    peers.server("HTTP/1.1 302 Found\r\nLocation: /account\r\nContent-Length: 0\r\n\r\n");
    let long =
        "GET /api/v1/customers/0190a3c4-77aa-7d1e-9f5e-3b2d6e8f0a11/orders?state=open&page=2";
    ask(
        &mut peers,
        long,
        "",
        140 * MS,
        &response("404 Not Found", "text/html; charset=utf-8", b"<h1>Not there</h1>\n"),
    );
    ask(&mut peers, "GET /img/logo.png", "", 0, &response("200 OK", "image/png", PNG));
    ask(
        &mut peers,
        "GET /report.csv",
        "",
        12_345 * MS,
        &response("500 Internal Server Error", "text/plain", b"out of memory\n\tat line 3\n"),
    );
    let large = vec![b'x'; 50_000];
    ask(&mut peers, "GET /big.txt", "", 0, &response("200 OK", "text/plain", &large));
    peers.close();
    peers.seen
}

/// Over IPv6, with what is wide, long, lost or meant to deceive.
fn odd() -> Vec<Seen> {
    let mut peers =
        Peers::between("[2001:db8:85a3:8d3:1319:8a2e:370:7348]:51234", "[2001:db8::1]:8080");
    peers.wait(20_000 * MS);
    peers.handshake();
    peers.client("GET /日本語/ドキュメント?q=grün HTTP/1.1\r\nHost: wiki.example.org:8080\r\n\r\n");
    peers.server_says(ACK, &response("200 OK", "text/html", "<p>こんにちは</p>".as_bytes()));
    peers.client("DELETE /x HTTP/1.1\r\nHost: h\r\nX-Bad: \x1b[31mred\r\n\r\n");
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    peers.client("GET /half HTTP/1.1\r\nHost: h\r\n\r\n");
    let half = response("200 OK", "text/plain", &[b'y'; 900]);
    peers.server_says(ACK, &half[..500]);
    peers.server_says(ACK, &half[500..]);
    peers.unseen();
    peers.client("GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.client_resets();
    peers.seen
}

/// A WebSocket.
fn chat() -> Vec<Seen> {
    let frame = |flags: u8, payload: &[u8]| [&[flags, payload.len() as u8], payload].concat();
    let mut peers = Peers::between("192.168.178.112:60500", "192.168.178.1:80");
    peers.wait(30_000 * MS);
    peers.handshake();
    peers.client(
        "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    peers.server(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    peers.server_says(ACK, &frame(0x81, "hello, and welcome: grüß dich".as_bytes()));
    peers.server_says(ACK, &frame(0x82, &[0, 1, 2, 0xff]));
    peers.server_says(ACK, &frame(0x88, b"\x03\xe8bye"));
    peers.close();
    peers.seen
}

fn capture(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("capture.pcap");
    fs::write(&file, capture_of(&[everyday(), odd(), chat()].concat())).unwrap();
    file
}

/// Each terminal, by the end of its snapshots' names.
fn terminals() -> Vec<(String, Terminal)> {
    let utf8 = [20, 40, 80, 120, 200].map(|columns| (columns.to_string(), Terminal::of(columns)));
    let more = [20, 80, 200].into_iter().flat_map(|columns| {
        let of = Terminal::of(columns);
        [
            (format!("{columns}-colour"), Terminal { has_colour: true, ..of }),
            (format!("{columns}-ascii"), Terminal { locale: "C", ..of }),
        ]
    });
    utf8.into_iter().chain(more).collect()
}

/// Compares what is shown with its snapshot, and holds it to the terminal's width.
fn check(name: &str, terminal: Terminal, shown: &str) {
    let text = plain(shown);
    for line in text.lines() {
        assert!(columns(line) <= terminal.columns.into(), "{name}: {line}");
        assert!(terminal.locale != "C" || line.is_ascii(), "{name}: {line}");
    }
    assert!(terminal.has_colour || shown == text, "{name}: {shown:?}");
    let file = Path::new(FOLDER).join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(&file, shown).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, expected, "{} is not what is shown", file.display());
}

/// Each of these on each of the terminals.
fn check_all(name: &str, agent: impl Fn(&Path) -> Agent) {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(&folder);
    for (on, terminal) in terminals() {
        check(&format!("{name}-{on}"), terminal, &terminal.shows(agent(&file).into_command()));
    }
}

fn read(file: &Path, args: &[&str]) -> Agent {
    Agent::read(file).args(["--quiet"]).args(args)
}

#[test]
fn exchanges_stand_in_columns_that_the_terminal_has_room_for() {
    check_all("exchanges", |file| read(file, &[]));
}

#[test]
fn so_do_messages_flows_and_the_ledger() {
    check_all("events", |file| read(file, &["--events", "websocket,flow,stats", "-vv"]));
}

#[test]
fn heads_take_the_rows_that_they_need_and_each_says_whose_it_is() {
    check_all("heads", |file| read(file, &["-v"]));
}

#[test]
fn bodies_are_json_with_its_structure_text_or_hexadecimal() {
    let json = "request.target != '/big.txt'";
    check_all("bodies", |file| read(file, &["-vv", "--where", json]));
}

#[test]
fn requests_are_commands_that_the_terminal_can_show() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(&folder);
    for (on, terminal) in terminals().into_iter().filter(|(on, _)| on.starts_with("80")) {
        // They are for a shell, which no row may be broken for.
        let wide = Terminal { columns: 300, ..terminal };
        check(
            &format!("curl-{on}"),
            wide,
            &wide.shows(read(&file, &["--format", "curl"]).into_command()),
        );
    }
}

#[test]
fn flows_are_a_table_with_the_columns_that_the_terminal_has_room_for() {
    check_all("flows", |file| Agent::new().args(["flows".as_ref(), file.as_os_str()]));
}

#[test]
fn what_was_said_takes_the_rows_that_it_needs() {
    let follow = |file: &Path, stream: &str, form: &[&str]| {
        let args = ["follow".as_ref(), file.as_os_str()];
        Agent::new().args(args).args(["--stream", stream]).args(form)
    };
    check_all("follow", |file| follow(file, "1", &[]));
    check_all("follow-hex", |file| follow(file, "2", &["--hex"]));
}

#[test]
fn the_summary_has_the_columns_that_the_terminal_has_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(&folder);
    for (on, terminal) in terminals() {
        let agent = Agent::read(&file).args(["--output", "text:/dev/null"]);
        let shown = terminal.shows(agent.into_command());
        // How far it was stood there before, and was wiped away.
        let (_, summary) = shown.split_at(shown.find("11 exchanges").unwrap_or_default());
        check(&format!("summary-{on}"), terminal, summary);
    }
}

#[test]
fn what_is_no_terminal_gets_whole_lines_whatever_the_locale() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(&folder);
    let line = "GET shop.example.com/api/v1/customers/0190a3c4-77aa-7d1e-9f5e-3b2d6e8f0a11/orders\
                ?state=open&page=2  404  text/html  19 B  141.00 ms";
    for locale in ["C", "C.UTF-8"] {
        let mut command = read(&file, &[]).into_command();
        let output = command.env("LC_ALL", locale).env("COLUMNS", "20").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("  10.0.0.5:51234 → 10.0.0.1:80  {line}\n")), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn colour_follows_the_option_and_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(&folder);
    let piped = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = read(&file, args).into_command();
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap().contains("\x1b[32m200")
    };
    assert!(!piped(&[], &[]));
    assert!(piped(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(piped(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!piped(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!piped(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    let on_terminal = |agent: Agent| {
        Terminal { has_colour: true, ..Terminal::of(80) }
            .shows(agent.into_command())
            .contains('\x1b')
    };
    assert!(on_terminal(read(&file, &[])));
    assert!(!on_terminal(read(&file, &["--color", "never"])));
    let text = folder.path().join("x.txt");
    let output = text.to_str().unwrap();
    read(&file, &["--color", "always", "--output", output]).run();
    assert!(!fs::read_to_string(text).unwrap().contains('\x1b'));
}
