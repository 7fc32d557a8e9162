//! Names of payload files, made by the agent from time, host and path.
//!
//! Invariant: whatever hosts and paths say, a name is one of a file in its folder: it begins with
//! the time, has letters, digits and `._-` alone, and is bounded in length.

use super::media;
use crate::flow::Direction;
use crate::http::About;
use crate::output::time::Rfc3339;
use crate::segment::Endpoint;

/// Longest part of a name that a host makes: those of the DNS can be longer, and say enough by then.
const MAX_HOST: usize = 80;
/// Longest part that a path makes. With all the rest it stays below the 255 bytes of a file system.
const MAX_PATH: usize = 100;
/// Longest extension, by which none is taken for one that is not.
const MAX_EXTENSION: usize = 16;

/// What stands in a name before its number, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    stem: String,
    extension: String,
}

impl Name {
    /// The name of a body that begins with these bytes.
    pub(super) fn new(
        about: &About,
        direction: Direction,
        server: Endpoint,
        first: &[u8],
        is_decoded: bool,
    ) -> Self {
        let path = about.path.as_deref().unwrap_or_default();
        let (path, own) = split_extension(path);
        let content_type = about.content_type.as_deref();
        let mut extension = media::extension(content_type, own.as_deref(), first);
        let mut stem = time(about);
        let host = about
            .host
            .as_deref()
            .map_or_else(|| safe(server.to_string().as_bytes(), MAX_HOST), |it| safe(it, MAX_HOST));
        let mut parts = vec![host, safe(path, MAX_PATH)];
        // An extension that says something else is a part of the name.
        parts.extend(own.filter(|own| *own != extension));
        parts.retain(|part| !part.is_empty());
        for part in parts {
            stem.push('_');
            stem.push_str(&part);
        }
        if direction == Direction::ToServer {
            stem.push_str("_request");
        }
        let coding = about.encoding.as_deref().filter(|_| !is_decoded).and_then(media::of_coding);
        if let Some(coding) = coding {
            extension = format!("{extension}.{coding}");
        }
        Self { stem, extension }
    }

    /// The name that is tried so many times after others.
    pub(super) fn numbered(&self, number: u64, serial: u64) -> String {
        let Self { stem, extension } = self;
        match number {
            1 => format!("{stem}.{extension}"),
            2..=9 => format!("{stem}_{number}.{extension}"),
            // Very many have this name: one that counts all files is free sooner.
            _ => format!("{stem}_{}.{extension}", serial + number),
        }
    }
}

/// `20261122T042813.123Z`.
fn time(about: &About) -> String {
    let text = Rfc3339(about.time).text();
    let keep = |(at, byte): (usize, &u8)| {
        let is_kept = at < 23 && !matches!(byte, b'-' | b':');
        is_kept.then_some(char::from(*byte))
    };
    let mut time: String = text.iter().enumerate().filter_map(keep).collect();
    time.push('Z');
    time
}

/// A path without its extension, and that in lower case, if it has one.
fn split_extension(path: &[u8]) -> (&[u8], Option<String>) {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let split = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0);
    let Some(at) = split else { return (path, None) };
    let extension = name.get(at + 1..).unwrap_or_default();
    let is_one = (1..=MAX_EXTENSION).contains(&extension.len())
        && extension.iter().all(u8::is_ascii_alphanumeric);
    if !is_one {
        return (path, None);
    }
    let extension = String::from_utf8_lossy(extension).to_ascii_lowercase();
    (path.get(..path.len() - extension.len() - 1).unwrap_or_default(), Some(extension))
}

/// So much of a text as names may have: what is not safe is `_`, once for all that are together.
fn safe(text: &[u8], max: usize) -> String {
    let mut safe = String::new();
    for byte in text {
        let char = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(*byte),
            _ => '_',
        };
        let is_repeated = matches!(char, '_' | '.') && safe.ends_with(['_', '.']);
        if safe.len() < max && !is_repeated {
            safe.push(char);
        }
    }
    safe.trim_matches(['_', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Timestamp;

    fn about(host: &[u8], path: &[u8], content_type: &str) -> About {
        About {
            time: Timestamp(1_795_321_693_123_999_999),
            host: Some(host.into()),
            path: Some(path.into()),
            content_type: Some(content_type.as_bytes().into()),
            encoding: None,
        }
    }

    fn name(about: &About) -> String {
        let server = Endpoint::v4([10, 0, 0, 1], 80);
        Name::new(about, Direction::ToClient, server, b"", true).numbered(1, 0)
    }

    #[test]
    fn a_name_is_time_host_and_path() {
        let name = |path: &str, content_type: &str| {
            name(&about(b"example.com", path.as_bytes(), content_type))
        };
        const BEFORE: &str = "20261122T042813.123Z_example.com";
        for (path, content_type, rest) in [
            ("/api/small.json", "application/json; charset=utf-8", "_api_small.json"),
            ("/", "text/html", ".html"),
            ("/a.php", "text/html", "_a_php.html"),
            ("/song.MP3", "audio/mpeg", "_song.mp3"),
            ("/song", "audio/mpeg", "_song.mp3"),
            ("/photo.jpeg", "image/jpeg", "_photo.jpeg"),
            ("/archive.tar.gz", "application/gzip", "_archive.tar.gz"),
            ("/v1.2/x", "application/vnd.api+json", "_v1.2_x.json"),
            ("/data.csv", "application/octet-stream", "_data.csv"),
            ("/.hidden", "text/plain", "_hidden.txt"),
        ] {
            assert_eq!(name(path, content_type), format!("{BEFORE}{rest}"), "{path}");
        }
    }

    #[test]
    fn no_name_leaves_its_folder_or_is_longer_than_it_may_be() {
        let long = [b'a'; 1 << 10];
        let hosts: [&[u8]; 6] = [b"../..", b"-rf", b"", b"\0\xff\n", b"[::1]:80", &long];
        let paths: [&[u8]; 10] = [
            b"/../../../../etc/passwd",
            b"/%2e%2e%2f%2e%2e/x",
            b"/..",
            b"/.",
            b"/a\0b\nc\x1b[31m",
            "/ünïcode/日本語.html".as_bytes(),
            b"/ -rf *;$(reboot)`x`.sh",
            b"//////....////",
            b"CON",
            &long,
        ];
        for host in hosts {
            for path in paths {
                let mut about = about(host, path, "text/html");
                for direction in Direction::BOTH {
                    about.encoding = Some((*b"../../gzip").into());
                    let server = Endpoint::v4([10, 0, 0, 1], 80);
                    let made = Name::new(&about, direction, server, b"", false);
                    for name in [1, 5, 1000].map(|number| made.numbered(number, u64::MAX - 1000)) {
                        let is_safe =
                            |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                        assert!(name.bytes().all(is_safe), "{name}");
                        assert!(name.starts_with("20261122T") && name.len() < 245, "{name}");
                        assert!(!name.contains("..") && !name.ends_with(".part"), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_invented() {
        let about = About { host: None, path: None, content_type: None, ..about(b"", b"", "") };
        assert_eq!(name(&about), "20261122T042813.123Z_10.0.0.1_80.bin");
    }

    #[test]
    fn what_is_still_coded_says_so() {
        let encoding = Some((*b"gzip").into());
        let about = About { encoding, ..about(b"a", b"/x.json", "application/json") };
        let server = Endpoint::v4([10, 0, 0, 1], 80);
        let name = Name::new(&about, Direction::ToServer, server, b"", false).numbered(2, 0);
        assert_eq!(name, "20261122T042813.123Z_a_x_request_2.json.gz");
    }
}
