// What guest and host agree on: the disk, and what is in it.

/// Bytes that are written and read together.
const BLOCK_SIZE: usize = 16 << 10;

/// Threads of the guest, each with blocks of its own, one after the other on the disk.
const N_WORKERS: usize = 4;
const BLOCKS_PER_WORKER: usize = 64;

/// What a block has in it after it was written for the `number`th time; zeroes before.
fn pattern(block: usize, number: u64) -> Vec<u8> {
    if number == 0 {
        return vec![0; BLOCK_SIZE];
    }
    let mut state = (number << 16) ^ block as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..BLOCK_SIZE / 8).flat_map(|_| next().to_le_bytes()).collect()
}
