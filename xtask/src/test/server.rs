// SPDX-License-Identifier: GPL-2.0-only
//! An HTTP server on the loopback address: files below a directory, and paths that behave as bad mirrors do.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Serves until it is dropped.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the files below `root`. A directory with a file `.behaviour` is a bad mirror: `loop`, `stall`, `endless`,
    /// or `secret WORDS`, where only requests with `Authorization: WORDS` are answered.
    pub fn start(root: &Path) -> Result<Server, String> {
        let text = |error: std::io::Error| format!("a loopback server: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
        let url = format!("http://{}", listener.local_addr().map_err(text)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (root, stopped) = (root.to_path_buf(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let root = root.clone();
                // Who hangs up early is the client's affair: that is what is tested.
                std::thread::spawn(move || drop(answer(stream, &root)));
            }
        });
        Ok(Server { url, stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_string();
    let file = root.join(&path);
    match behaviour(root, &file).as_deref().map(|text| text.split_once(' ').unwrap_or((text, ""))) {
        Some(("loop", _)) => {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: /{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Some(("stall", _)) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<repomd")?;
            stream.flush()?;
            std::thread::sleep(Duration::from_secs(30));
            Ok(())
        }
        Some(("endless", _)) => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 1 << 16])?;
            }
        }
        Some(("secret", words)) if !headers.contains(&format!("Authorization: {words}")) => {
            write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        _ => match fs::read(&file) {
            Ok(bytes) => {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
                stream.write_all(&bytes)
            }
            Err(_) => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        },
    }
}

/// The word in the nearest `.behaviour` above a file.
fn behaviour(root: &Path, file: &Path) -> Option<String> {
    let mut above: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_path_buf).collect();
    above.retain(|dir| dir.starts_with(root));
    above.iter().find_map(|dir| fs::read_to_string(dir.join(".behaviour")).ok())
}
