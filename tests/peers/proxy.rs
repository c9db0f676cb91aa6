//! Somebody between gateway and EHR: loses replies after the EHR did what was asked, and answers 429 and 503 by itself. What
//! happens to a request comes from a seed; every one is remembered for the trace.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passed,
    /// The EHR got it; the connection ended without a reply.
    ReplyLost,
    /// The EHR got it; the reply became a 503.
    FailedAfter,
    /// The EHR never saw it.
    Busy429,
    Down503,
}

/// One request as it went by.
#[derive(Clone, Debug)]
pub struct Passage {
    pub at: Duration,
    pub line: String,
    pub fate: Fate,
    /// The EHR's own status, where it got the request.
    pub status: Option<u16>,
}

pub struct Proxy {
    pub host: String,
    log: Arc<Mutex<Vec<Passage>>>,
    healed: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of `target` (host and port).
    pub fn before(target: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (log, healed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let chance = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        let (target, begun) = (target.to_owned(), Instant::now());
        let (passages, fine) = (Arc::clone(&log), Arc::clone(&healed));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, passages) = (target.clone(), Arc::clone(&passages));
                let (fine, chance) = (Arc::clone(&fine), Arc::clone(&chance));
                std::thread::spawn(move || {
                    let mut client = client;
                    while let Some(request) = read(&mut client) {
                        let fate = if fine.load(Ordering::Relaxed) { Fate::Passed } else { fate(&chance) };
                        let stays = pass(&mut client, &target, &request, fate, |status| {
                            let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
                            let line = String::from_utf8_lossy(line).into_owned();
                            let passage = Passage { at: begun.elapsed(), line, fate, status };
                            passages.lock().expect("no panic").push(passage);
                        });
                        if stays.is_none() {
                            break;
                        }
                    }
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { host, log, healed }
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    pub fn log(&self) -> Vec<Passage> {
        self.log.lock().expect("no panic").clone()
    }
}

fn fate(chance: &Mutex<fastrand::Rng>) -> Fate {
    match chance.lock().expect("no panic").u8(0..100) {
        0..10 => Fate::ReplyLost,
        10..13 => Fate::FailedAfter,
        13..17 => Fate::Busy429,
        17..21 => Fate::Down503,
        _ => Fate::Passed,
    }
}

/// Does what the fate says; nothing where the connection is to end.
fn pass(
    client: &mut TcpStream,
    target: &str,
    request: &[u8],
    fate: Fate,
    note: impl FnOnce(Option<u16>),
) -> Option<()> {
    let own = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n");
    let refused = match fate {
        Fate::Busy429 => Some(own("429 Too Many Requests", "retry-after: 1\r\n")),
        Fate::Down503 => Some(own("503 Service Unavailable", "")),
        Fate::Passed | Fate::ReplyLost | Fate::FailedAfter => None,
    };
    if let Some(refused) = refused {
        note(None);
        return client.write_all(refused.as_bytes()).ok();
    }
    let reply = forward(target, request);
    let status = reply.as_deref().and_then(|reply| std::str::from_utf8(reply.get(9..12)?).ok()?.parse().ok());
    note(status);
    match (fate, reply) {
        (Fate::Passed, Some(reply)) => {
            client.write_all(&reply).ok()?;
            // The EHR's reply ends with its connection, and so does ours.
            None
        }
        (Fate::FailedAfter, Some(_)) => client.write_all(own("503 Service Unavailable", "").as_bytes()).ok(),
        _ => None,
    }
}

/// A connection of its own for each request, closed by the EHR when it has replied.
fn forward(target: &str, request: &[u8]) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(target).ok()?;
    let end = request.windows(2).position(|two| two == b"\r\n")?;
    server.write_all(&request[..end]).ok()?;
    server.write_all(b"\r\nconnection: close").ok()?;
    server.write_all(&request[end..]).ok()?;
    server.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply).ok()?;
    (!reply.is_empty()).then_some(reply)
}

/// One request, head and body; nothing where the connection ended.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer, mut whole) = (Vec::new(), [0; 16 * 1024], None);
    loop {
        if whole.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            whole = Some(end + 4 + length.unwrap_or(0_usize));
        }
        if whole.is_some_and(|whole| bytes.len() >= whole) {
            return Some(bytes);
        }
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}
