//! A client that does what curl can't be told to: holds a connection, and shapes its packets.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::fetch::Fetch;
use super::lab::{Family, Lab};
use super::wait::DEADLINE;

/// An open connection from the client to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    family: Family,
}

impl Connection {
    /// Connects to port 80.
    pub(crate) fn open(lab: &Lab, family: Family) -> Self {
        // A socket stays in the namespace that it was made in.
        let stream = lab.client.enter(|| TcpStream::connect((Lab::address(family), 80)));
        let stream = stream.expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("sockets have timeouts");
        Self { stream, family }
    }

    /// The client's port.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().expect("it is connected").port()
    }

    /// Has every packet from now on carry IPv4 options (RFC 791 section 3.1): no operation, which
    /// moves the TCP header all the same.
    pub(crate) fn add_ip_options(&self) -> io::Result<()> {
        self.set_option(libc::IPPROTO_IP, libc::IP_OPTIONS, &[1, 1, 1, 1, 1, 1, 1, 1])
    }

    /// Has every packet from now on carry IPv6 extension headers (RFC 8200 sections 4.3 and 4.6):
    /// hop-by-hop options, which are padding, and destination options, which are an experiment
    /// (RFC 4727 section 3.5) that receivers skip.
    pub(crate) fn add_extension_headers(&self) -> io::Result<()> {
        let padding = [0, 0, 1, 4, 0, 0, 0, 0];
        let experiment = [0, 1, 0x1e, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.set_option(libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, &padding)?;
        self.set_option(libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, &experiment)
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        let length = libc::socklen_t::try_from(value.len()).expect("options are short");
        let fd = self.stream.as_raw_fd();
        // SAFETY: the value is as long as stated, and the kernel copies it.
        let result = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Asks for `path` and reads up to the end of the answer, whose body is `body`.
    pub(crate) fn get(&mut self, path: &str, body: &[u8]) -> Fetch {
        let host = Lab::url(self.family, "").replace("http://", "");
        // In one piece: the rest of one that is sent by pieces waits for an acknowledgement.
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while !answer.ends_with(body) {
            let count = self.stream.read(&mut chunk).expect("the server answers");
            assert!(count > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        Fetch {
            method: "GET".to_owned(),
            url: Lab::url(self.family, path),
            status: 200,
            sent: 0,
            received: body.len() as u64,
        }
    }
}
