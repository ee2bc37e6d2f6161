// Runs a program for WASI (preview 1) in node: `wasi.mjs PROGRAM ARGUMENT...`. It sees the workspace, the folder `shared` beside
// that, and a folder for what it writes, which is gone afterwards. Its environment is this one's.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { WASI } from 'node:wasi';

// With them node 20 ends with a segmentation fault when a program is large.
setFlagsFromString('--no-turbo-fast-api-calls');

const [program, ...args] = process.argv.slice(2);
const workspace = fileURLToPath(new URL('../../..', import.meta.url)).replace(/[/]$/, '');
const shared = `${workspace}/../shared`;
const temporary = mkdtempSync(join(tmpdir(), 'wasi-'));
process.on('exit', () => rmSync(temporary, { recursive: true }));
const wasi = new WASI({
    version: 'preview1',
    args: [program, ...args],
    env: { ...process.env, TMPDIR: temporary },
    preopens: {
        '.': process.cwd(),
        [workspace]: workspace,
        // No path leads out of a folder that is given, so this one is given, too.
        ...(existsSync(shared) && { [shared]: shared }),
        [temporary]: temporary,
    },
    returnOnExit: true,
});
const compiled = await WebAssembly.compile(readFileSync(program));
const instance = await WebAssembly.instantiate(compiled, { wasi_snapshot_preview1: wasi.wasiImport });
// A program that panics is at an unreachable instruction, which is an error here, and status 1.
process.exitCode = wasi.start(instance);
