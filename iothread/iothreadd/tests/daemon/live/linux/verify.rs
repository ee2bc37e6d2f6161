//! The program of the guest: writes to the disk, reads back, compares, and says how far it is.
//!
//! It is compiled by the test, for a system that has nothing else. What it says: `at N N N N` over and over, how many
//! requests of each thread were good; `bad: ...` at the first that was not; and after a line has come in, `last BLOCK NUMBER`
//! for every block, with how often it was written, and `done`.

use std::fs::{File, OpenOptions};
use std::io::Result;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

include!("pattern.rs");

/// Past the caches of the guest.
const O_DIRECT: i32 = 0o40000;

/// What the disk wants the memory of a request to begin at.
const ALIGNMENT: usize = 4096;

/// Every how many writes a thread flushes.
const FLUSH_EVERY: u64 = 4;

struct Worker {
    index: usize,
    disk: File,
    memory: Vec<u8>,
    n_good: Arc<AtomicU64>,
    is_ending: Arc<AtomicBool>,
    /// How often each block was written.
    written: Vec<u64>,
}

impl Worker {
    fn memory(&mut self) -> &mut [u8] {
        let start = self.memory.as_ptr().align_offset(ALIGNMENT);
        &mut self.memory[start..start + BLOCK_SIZE]
    }

    fn block(&self, own: usize) -> usize {
        self.index * BLOCKS_PER_WORKER + own
    }

    fn write(&mut self, own: usize) -> Result<()> {
        let block = self.block(own);
        self.written[own] += 1;
        let data = pattern(block, self.written[own]);
        self.memory().copy_from_slice(&data);
        let disk = self.disk.try_clone()?;
        disk.write_all_at(self.memory(), (block * BLOCK_SIZE) as u64)
    }

    fn check(&mut self, own: usize) -> Result<()> {
        let block = self.block(own);
        let disk = self.disk.try_clone()?;
        disk.read_exact_at(self.memory(), (block * BLOCK_SIZE) as u64)?;
        let wanted = pattern(block, self.written[own]);
        if *self.memory() != wanted {
            let place = self.memory().iter().zip(&wanted).position(|(a, b)| a != b);
            let number = self.written[own];
            let text = format!("block {block}, written {number} times, differs at {place:?}");
            return Err(std::io::Error::other(text));
        }
        Ok(())
    }

    fn work(&mut self) -> Result<()> {
        let mut state = self.index as u64 + 1;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % BLOCKS_PER_WORKER
        };
        let mut n_writes = 0;
        while !self.is_ending.load(Ordering::Acquire) {
            self.write(random())?;
            self.check(random())?;
            n_writes += 1;
            if n_writes % FLUSH_EVERY == 0 {
                self.disk.sync_all()?;
            }
            self.n_good.fetch_add(1, Ordering::AcqRel);
        }
        for own in 0..BLOCKS_PER_WORKER {
            self.check(own)?;
        }
        self.disk.sync_all()
    }
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let is_ending = Arc::new(AtomicBool::new(false));
    let mut counts = Vec::new();
    let mut threads = Vec::new();
    for index in 0..N_WORKERS {
        let n_good = Arc::new(AtomicU64::new(0));
        counts.push(Arc::clone(&n_good));
        let mut worker = Worker {
            index,
            disk: OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(O_DIRECT)
                .open(&path)?,
            memory: vec![0; BLOCK_SIZE + ALIGNMENT],
            n_good,
            is_ending: Arc::clone(&is_ending),
            written: vec![0; BLOCKS_PER_WORKER],
        };
        threads.push(thread::spawn(move || {
            if let Err(error) = worker.work() {
                println!("bad: {error}");
            }
            worker
        }));
    }
    let ending = Arc::clone(&is_ending);
    thread::spawn(move || {
        let mut line = String::new();
        // The end of the input is a line as well.
        let _ = std::io::stdin().read_line(&mut line);
        ending.store(true, Ordering::Release);
    });
    while !is_ending.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(100));
        let counts: Vec<String> = counts
            .iter()
            .map(|it| it.load(Ordering::Acquire).to_string())
            .collect();
        println!("at {}", counts.join(" "));
    }
    for thread in threads {
        let Ok(worker) = thread.join() else {
            println!("bad: a thread has panicked");
            continue;
        };
        for (own, number) in worker.written.iter().enumerate() {
            println!("last {} {number}", worker.block(own));
        }
    }
    println!("done");
    Ok(())
}
