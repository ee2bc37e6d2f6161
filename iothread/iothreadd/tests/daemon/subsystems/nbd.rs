//! The smallest client of NBD: it reads a block, and looks which thread has served it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use libtest_mimic::Failed;
use serde_json::json;

use super::world::World;

/// Connects several times to the export `e0`, and reads a block each time. Returns the IOThreads that have done anything
/// meanwhile.
pub(crate) fn threads_that_serve(
    world: &mut World,
    n_connections: usize,
) -> Result<Option<Vec<i64>>, Failed> {
    let threads = world.run("query-iothreads", json!({}))?;
    let threads = threads.as_array().into_iter().flatten();
    let threads: Vec<i64> = threads.filter_map(|it| it["thread-id"].as_i64()).collect();
    let before: Vec<u64> = threads.iter().map(|it| n_calls(world, *it)).collect();
    for _ in 0..n_connections {
        read_block(UnixStream::connect(world.path("nbd"))?)?;
    }
    let mut active = Vec::new();
    for (thread, before) in threads.into_iter().zip(before) {
        if n_calls(world, thread) > before {
            active.push(thread);
        }
    }
    Ok(Some(active))
}

/// How often a thread has read or written.
fn n_calls(world: &World, thread: i64) -> u64 {
    let path = format!("/proc/{}/task/{thread}/io", world.server.process_id());
    let text = std::fs::read_to_string(path).expect("counters of the thread");
    let counters = text.lines().filter_map(|line| line.split_once(": "));
    let calls = counters.filter(|(name, _)| name.starts_with("sysc"));
    calls
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum()
}

fn read_block(mut stream: UnixStream) -> std::io::Result<()> {
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting)?;
    // Fixed newstyle, no zeroes after the answer.
    stream.write_all(&3_u32.to_be_bytes())?;
    stream.write_all(b"IHAVEOPT")?;
    stream.write_all(&1_u32.to_be_bytes())?;
    stream.write_all(&2_u32.to_be_bytes())?;
    stream.write_all(b"e0")?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    let mut request = 0x2560_9513_u32.to_be_bytes().to_vec();
    request.extend_from_slice(&[0, 0, 0, 0]);
    request.extend_from_slice(&[7; 8]);
    request.extend_from_slice(&0_u64.to_be_bytes());
    request.extend_from_slice(&512_u32.to_be_bytes());
    stream.write_all(&request)?;
    let mut reply = [0; 16 + 512];
    stream.read_exact(&mut reply)?;
    assert_eq!(reply[..4], 0x6744_6698_u32.to_be_bytes());
    assert_eq!(reply[4..8], [0; 4]);
    // The end of the session; the thread has done its part when it closes the connection.
    request[7] = 2;
    stream.write_all(&request)?;
    assert_eq!(stream.read(&mut [0])?, 0);
    Ok(())
}
