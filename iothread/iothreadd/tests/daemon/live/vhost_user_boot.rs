//! A guest of a real QEMU that boots from an export, and reads and writes through the BIOS.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tests::Tool;

use crate::harness::Server;

const SECTOR: usize = 512;

/// Where the BIOS puts the boot sector, and where it has its data.
const ORIGIN: u16 = 0x7c00;
const DRIVE: u16 = 0x7dd0;
const PACKET: u16 = 0x7de0;
const BUFFER: u16 = 0x8000;
const SECOND_BUFFER: u16 = 0x8400;

/// What the guest finds in sector 1 and says.
const GREETING: &[u8] = b"read by the guest\0";

/// The sectors that the guest writes.
const WRITTEN: std::ops::RangeInclusive<u8> = 2..=9;

/// What the process ends with after all went well: the debug device makes it of what the guest writes there.
const GOOD: u8 = 0x10;
const BAD: u8 = 0x11;

/// Machine code, put together.
struct Code {
    bytes: [u8; SECTOR],
    at: u16,
}

impl Code {
    fn code(&mut self, bytes: &[u8]) -> &mut Self {
        let start = usize::from(self.at - ORIGIN);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.at += u16::try_from(bytes.len()).unwrap();
        self
    }

    /// An instruction with a 16-bit operand.
    fn with(&mut self, instruction: &[u8], operand: u16) -> &mut Self {
        self.code(instruction).code(&operand.to_le_bytes())
    }

    /// An instruction that goes to a place: its operand is the distance.
    fn to(&mut self, instruction: &[u8], target: u16) -> &mut Self {
        self.code(instruction);
        let distance = target.wrapping_sub(self.at + 2);
        self.code(&distance.to_le_bytes())
    }

    fn place(&mut self, at: u16) -> &mut Self {
        self.at = at;
        self
    }
}

/// The boot sector: says what is in sector 1, then adds one to each byte of it for each sector that it writes, reads what
/// it has written, and says a point if that is the same.
fn boot_sector() -> [u8; SECTOR] {
    const PRINT: u16 = 0x7d00; // SI: what, up to a zero
    const PUT: u16 = 0x7d20; // AL: what
    const DISK: u16 = 0x7d40; // AX: what; sets the carry if it fails
    const FAIL: u16 = 0x7d60;
    let mut it = Code {
        bytes: [0; SECTOR],
        at: ORIGIN,
    };
    it.code(&[0xfa, 0x31, 0xc0]) // cli; xor ax, ax
        .code(&[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0]) // mov ds, ax; mov es, ax; mov ss, ax
        .with(&[0xbc], ORIGIN) // mov sp, ORIGIN
        .code(&[0xfb, 0xfc]) // sti; cld
        .with(&[0x88, 0x16], DRIVE) // mov [DRIVE], dl
        .with(&[0xb8], 0x4200) // mov ax, 4200h: read
        .to(&[0xe8], DISK) // call
        .to(&[0x0f, 0x82], FAIL) // jc
        .with(&[0xbe], BUFFER) // mov si, BUFFER
        .to(&[0xe8], PRINT); // call
    let next = it.at;
    it.with(&[0xbe], BUFFER) // mov si, BUFFER
        .with(&[0xb9], 512) // mov cx, 512
        .code(&[0xfe, 0x04, 0x46, 0xe2, 0xfb]) // inc byte [si]; inc si; loop
        .with(&[0xc7, 0x06], PACKET + 4)
        .code(&BUFFER.to_le_bytes()) // mov word [PACKET + 4], BUFFER
        .with(&[0xff, 0x06], PACKET + 8) // inc word [PACKET + 8]: the sector
        .with(&[0xb8], 0x4300) // mov ax, 4300h: write
        .to(&[0xe8], DISK)
        .to(&[0x0f, 0x82], FAIL)
        .with(&[0xc7, 0x06], PACKET + 4)
        .code(&SECOND_BUFFER.to_le_bytes())
        .with(&[0xb8], 0x4200)
        .to(&[0xe8], DISK)
        .to(&[0x0f, 0x82], FAIL)
        .with(&[0xbe], BUFFER)
        .with(&[0xbf], SECOND_BUFFER) // mov di, SECOND_BUFFER
        .with(&[0xb9], 512)
        .code(&[0xf3, 0xa6]) // repe cmpsb
        .to(&[0x0f, 0x85], FAIL) // jne
        .code(&[0xb0, b'.']) // mov al, '.'
        .to(&[0xe8], PUT)
        .with(&[0x83, 0x3e], PACKET + 8)
        .code(&[*WRITTEN.end()]) // cmp word [PACKET + 8], the last sector
        .to(&[0x0f, 0x82], next) // jb
        .code(&[0xb0, GOOD, 0xe6, 0xf4]) // mov al, GOOD; out 0f4h, al
        .code(&[0xf4, 0xeb, 0xfd]); // hlt; jmp $-1
    it.place(PRINT)
        .code(&[0xac, 0x84, 0xc0, 0x74, 0x05]) // lodsb; test al, al; jz to the end
        .to(&[0xe8], PUT)
        .code(&[0xeb, 0xf6, 0xc3]); // jmp to the beginning; ret
    it.place(PUT)
        .code(&[0x50]) // push ax
        .with(&[0xba], 0x3fd) // mov dx, 3fdh
        .code(&[0xec, 0xa8, 0x20, 0x74, 0xfb, 0x58]) // in al, dx; test al, 20h; jz to the in; pop ax
        .with(&[0xba], 0x3f8)
        .code(&[0xee, 0xc3]); // out dx, al; ret
    it.place(DISK)
        .with(&[0x8a, 0x16], DRIVE) // mov dl, [DRIVE]
        .with(&[0xbe], PACKET) // mov si, PACKET
        .code(&[0xcd, 0x13, 0xc3]); // int 13h; ret
    it.place(FAIL).code(&[0xb0, BAD, 0xe6, 0xf4, 0xf4]);
    // What is to be read or written: one sector, at this place, from sector 1.
    it.place(PACKET).code(&[16, 0, 1, 0]);
    it.with(&[], BUFFER).with(&[], 0).with(&[], 1);
    it.place(ORIGIN + 510).code(&[0x55, 0xaa]);
    it.bytes
}

/// Boots a virtual machine from the export, and returns what it said.
fn boot(qemu: &Path, socket: &Path) -> Output {
    let chardev = format!("socket,id=disk,path={}", socket.display());
    Command::new(qemu)
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-accel", "tcg", "-m", "64"])
        .args(["-object", "memory-backend-memfd,id=ram,size=64M,share=on"])
        .args(["-machine", "pc,memory-backend=ram"])
        .args(["-chardev", &chardev])
        .args(["-device", "vhost-user-blk-pci,chardev=disk,bootindex=0"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"])
        .args(["-serial", "stdio", "-no-reboot"])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// How many bytes a thread of the server has read so far.
fn bytes_read(server: &Server, thread: u64) -> u64 {
    let path = format!("/proc/{}/task/{thread}/io", server.id());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_guest_boots_reads_and_writes_on_the_iothread() {
    let Some(qemu) = Tool::Program("qemu-system-x86_64").for_test("a guest boots") else {
        return;
    };
    let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
    let mut client = server.client();
    let image = server.folder().join("image");
    let mut contents = vec![0; 1 << 20];
    contents[..SECTOR].copy_from_slice(&boot_sector());
    contents[SECTOR..SECTOR + GREETING.len()].copy_from_slice(GREETING);
    std::fs::write(&image, &contents).unwrap();
    let node = json!({"driver": "file", "node-name": "n0", "filename": image});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("disk");
    let export = json!({
        "type": "vhost-user-blk", "id": "e0", "node-name": "n0", "writable": true, "iothread": "io1",
        "addr": {"type": "unix", "path": socket},
    });
    client.execute("block-export-add", export);
    let threads = client.execute("query-iothreads", json!({}));
    let [idle, serving] = [0, 1].map(|index| threads[index]["thread-id"].as_u64().unwrap());
    let before = [idle, serving].map(|thread| bytes_read(&server, thread));

    let output = boot(&qemu, &socket);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(GOOD) << 1 | 1),
        "{said}{complaints}"
    );
    let points = ".".repeat(WRITTEN.count());
    let greeting = String::from_utf8_lossy(GREETING);
    let expected = format!("{}{points}", greeting.trim_end_matches('\0'));
    assert!(said.contains(&expected), "{said}");

    let image = std::fs::read(&image).unwrap();
    for sector in WRITTEN {
        let first = contents[SECTOR..2 * SECTOR].iter();
        let wanted: Vec<u8> = first.map(|byte| byte.wrapping_add(sector - 1)).collect();
        let start = usize::from(sector) * SECTOR;
        assert!(image[start..start + SECTOR] == wanted, "sector {sector}");
    }
    let untouched = (usize::from(*WRITTEN.end()) + 1) * SECTOR;
    assert!(image[..2 * SECTOR] == contents[..2 * SECTOR]);
    assert!(image[untouched..] == contents[untouched..]);

    // The server says which thread it was.
    let queues = client.execute("x-query-block-export-queues", json!({"id": "e0"}));
    assert_eq!(queues[0]["iothread"], "io1");
    assert_eq!(queues[0]["thread-id"], Value::from(serving));
    let n_requests = queues[0]["requests"].as_u64().unwrap();
    // The boot sector, the first one, and each of the others once written and once read.
    let wanted = 2 + 2 * WRITTEN.count() as u64;
    assert!(n_requests >= wanted, "{queues}");
    assert_eq!(queues[0]["failures"], 0);
    // And so does the kernel: what was just written is in the page cache, and read from there without a worker.
    let wanted = (2 + WRITTEN.count() as u64) * SECTOR as u64;
    let after = [idle, serving].map(|thread| bytes_read(&server, thread));
    assert!(after[1] - before[1] >= wanted, "{before:?} {after:?}");
    assert!(after[0] - before[0] < SECTOR as u64, "{before:?} {after:?}");
    assert_eq!(
        client.holders("io1"),
        [json!({"type": "block-export", "export-id": "e0"})]
    );
    client.execute("block-export-del", json!({"id": "e0", "mode": "hard"}));
    assert_eq!(client.event()["event"], "BLOCK_EXPORT_DELETED");
    assert_eq!(client.holders("io1"), [] as [Value; 0]);
}
