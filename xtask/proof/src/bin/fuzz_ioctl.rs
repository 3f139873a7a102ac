// SPDX-License-Identifier: GPL-2.0-only
//! Requests of an agent that knows the ABI only by half: any word, any memory behind it, writes in between.
//!
//! Nothing may panic, and after each request the file and the registry still serve.

#![cfg_attr(fuzzing, no_main)]

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("fuzz-ioctl: built without --cfg fuzzing; run `cargo xtask test --only proof`");
}

#[cfg(fuzzing)]
mod fuzz {
    use involflt::control::{File, ioctl, release};
    use involflt::engine::Registry;
    use involflt::host::{Host, OwnMemory, Written};
    use involflt::platform::User;
    use libfuzzer_sys::fuzz_target;

    const MEMORY: usize = 32 << 10;
    const DISK: &[u8] = b"sda:8000\0";
    /// Where the requests' structures have the disk's name: at their start, after one word, and behind two.
    const NAME_OFFSETS: [u64; 3] = [0, 4, 8];
    /// Type, direction and size of each request, by its number; libFuzzer finds the words by itself, this is faster.
    const WORDS: &[u32] = &include!("words.in");

    /// Takes bytes off the input; zeroes at its end.
    struct Input<'a>(&'a [u8]);

    impl Input<'_> {
        fn bytes<const N: usize>(&mut self) -> [u8; N] {
            let mut bytes = [0; N];
            let count = N.min(self.0.len());
            bytes[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            bytes
        }

        fn u8(&mut self) -> u8 {
            self.bytes::<1>()[0]
        }

        fn u16(&mut self) -> u16 {
            u16::from_le_bytes(self.bytes())
        }

        fn u32(&mut self) -> u32 {
            u32::from_le_bytes(self.bytes())
        }
    }

    fuzz_target!(|data: &[u8]| {
        let mut input = Input(data);
        OwnMemory::reset(MEMORY, input.u8());
        let registry = Registry::<Host>::new().expect("the host has memory");
        let file = File::default();
        while !input.0.is_empty() {
            step(&registry, &file, &mut input);
        }
        release(&registry, &file);
    });

    fn step(registry: &Registry<Host>, file: &File, input: &mut Input<'_>) {
        match input.u8() % 9 {
            0 => {
                if let Some(disk) = registry.find(&DISK[..DISK.len() - 1]) {
                    disk.tracker.mark(input.u16().into(), u64::from(input.u8()) + 1);
                }
            }
            1 => {
                if let Some(disk) = registry.find(&DISK[..DISK.len() - 1]) {
                    disk.tracker.complete(input.u16().into(), u64::from(input.u8()) + 1, false);
                }
            }
            2 => release(registry, file),
            8 => {
                if let Some(disk) = registry.find(&DISK[..DISK.len() - 1]) {
                    let (sector, sectors) = (input.u16().into(), u64::from(input.u8()) + 1);
                    disk.tracker.written(sector, sectors, &mut Written(vec![0; sectors as usize * 512]));
                }
            }
            3 => patch(u64::from(input.u16()), &input.bytes::<8>()),
            4 => patch(NAME_OFFSETS[usize::from(input.u8()) % NAME_OFFSETS.len()], DISK),
            5 => {
                let _ = ioctl(registry, file, input.u32(), OwnMemory::BASE);
            }
            _ => {
                let word = WORDS[usize::from(input.u8()) % WORDS.len()];
                let argument = OwnMemory::BASE + u64::from(input.u16());
                // Its refusal is as good as its answer.
                let _ = ioctl(registry, file, word, argument & !7);
            }
        }
    }

    fn patch(offset: u64, bytes: &[u8]) {
        // Past the end of the memory there is nothing to patch.
        let _ = OwnMemory::write(OwnMemory::BASE + offset, bytes);
    }
}
