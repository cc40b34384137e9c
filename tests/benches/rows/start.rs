//! Start on an empty folder, from the call of the program until `/health/ready` says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use janua_tests::program;

use crate::Effort;
use crate::table::{Table, median, spread};

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let times: Vec<_> = (0..effort.rounds.max(10)).map(|_| start_once()).collect();
    let middle = median(times.clone());
    let ratio = format!("{middle:.0} ms");
    table.add(
        "start on an empty folder until ready, ms",
        spread(&times),
        "–".into(),
        ratio,
        "100 ms (aim 50)",
    );
}

/// Milliseconds of one start.
fn start_once() -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let begun = Instant::now();
    let mut command = Command::new(program::janua());
    command.args([
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--set",
        "cluster.listen=127.0.0.1:0",
    ]);
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("janua starts");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let events = output.lines().map_while(Result::ok);
    let mut events =
        events.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    let listening = events.find(|event| event["event"] == "listening").expect("it listens");
    let address = listening["address"].as_str().expect("an address").to_owned();
    while !is_ready(&address) && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    let _ = child.kill();
    let _ = child.wait();
    took.as_secs_f64() * 1000.0
}

fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains(" 200 ")
}
