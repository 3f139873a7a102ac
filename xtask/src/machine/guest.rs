// SPDX-License-Identifier: GPL-2.0-only
//! What a machine does by itself once it has booted: a systemd service runs the commands and tells of each on the
//! second serial port, then powers off.
//!
//! Lines on the port: `begin`, `result <index> <exit code> <output in hexadecimal>.`, `end`.

use super::said::Said;

/// The service, of systemd.unit(5). `Type=simple`: it is no job that the end of the boot would wait for, so that
/// `systemctl is-system-running --wait` has an end.
pub const UNIT: &str = "[Unit]
Description=Commands of the involflt tests
After=multi-user.target

[Service]
Type=simple
ExecStart=/bin/sh /dev/disk/by-id/virtio-script
StandardInput=null
StandardOutput=null
Environment=HOME=/root
";
/// Where the service is.
pub const UNIT_PATH: &str = "/etc/systemd/system/involflt-test.service";
/// What starts it at the end of the boot.
pub const WANTED_BY: &str = "/etc/systemd/system/graphical.target.wants/involflt-test.service";

/// Longest that one command may take, in seconds; several machines may run at once under emulation.
const PATIENCE: u32 = 180;
/// Bytes of a command's output that are told, its last ones.
const OUTPUT: u32 = 65536;

/// The script that a machine finds on its second disk: a whole number of sectors, `exit` before the padding.
pub fn script(commands: &[&str]) -> Vec<u8> {
    let mut script = format!(
        "exec 3>/dev/ttyS1\necho begin >&3\nrun() {{\n\
         timeout --kill-after=5 {PATIENCE} sh -c \"$2\" >/run/involflt-output 2>&1 </dev/null; code=$?\n\
         printf 'result %d %d %s.\\n' \"$1\" \"$code\" \
         \"$(tail -c {OUTPUT} /run/involflt-output | od -An -v -tx1 | tr -d ' \\n')\" >&3\n}}\n"
    );
    for (index, command) in commands.iter().enumerate() {
        script += &format!("run {index} '{}'\n", command.replace('\'', "'\\''"));
    }
    script += "echo end >&3\nsystemctl poweroff\nexit\n";
    let mut script = script.into_bytes();
    script.resize(script.len().next_multiple_of(512), b'\n');
    script
}

/// What has been heard of a machine.
#[derive(Debug, Default)]
pub struct Heard {
    /// Whether systemd has come as far as the commands.
    pub begun: bool,
    /// Whether the last command has ended.
    pub ended: bool,
    /// Exit code and output of each command so far.
    pub results: Vec<(i32, String)>,
}

impl Heard {
    /// Takes a line of the serial port. One that is none of ours is the firmware's, and says nothing.
    pub fn line(&mut self, line: &str) {
        match line.trim() {
            "begin" => self.begun = true,
            "end" => self.ended = true,
            other => self.results.extend(result(other, self.results.len())),
        }
    }

    /// The results, with the commands that they are of.
    pub fn said(self, commands: &[&str]) -> Vec<Said> {
        let pairs = commands.iter().zip(self.results);
        pairs.map(|(command, (code, output))| Said { command: command.to_string(), code, output }).collect()
    }
}

fn result(line: &str, expected: usize) -> Option<(i32, String)> {
    let mut words = line.strip_prefix("result ")?.split(' ');
    let index: usize = words.next()?.parse().ok()?;
    let code = words.next()?.parse().ok()?;
    let output = bytes(words.next()?.strip_suffix('.')?)?;
    (index == expected).then(|| (code, String::from_utf8_lossy(&output).into_owned()))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(|pair| byte(pair)).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_command_reaches_the_shell_as_it_was() {
        let commands = ["echo 'a  b'; exit 3", "printf x"];
        let text = String::from_utf8(script(&commands)).unwrap();
        assert_eq!(text.len() % 512, 0);
        // The same script, on a pipe and without the power switch.
        let text =
            text.replace("/dev/ttyS1", "/dev/stdout").replace("/run/involflt-output", "/tmp/involflt-guest-test");
        let text = text.replace("systemctl poweroff", "");
        let output = std::process::Command::new("sh").args(["-c", &text]).output().unwrap();
        let mut heard = Heard::default();
        String::from_utf8_lossy(&output.stdout).lines().for_each(|line| heard.line(line));
        assert!(heard.begun && heard.ended);
        let said = heard.said(&commands);
        assert_eq!((said[0].code, said[0].output.as_str()), (3, "a  b\n"));
        assert_eq!((said[1].code, said[1].output.as_str()), (0, "x"));
    }

    #[test]
    fn a_line_that_was_cut_is_no_result() {
        let mut heard = Heard::default();
        for line in [
            "result 0 0 6",
            "result 0 0 6.",
            "result 0 0 zz.",
            "result 1 0 61.",
            "BdsDxe: loading Boot0001",
            "result 0",
        ] {
            heard.line(line);
        }
        assert!(heard.results.is_empty());
        heard.line("result 0 1 .");
        assert_eq!(heard.results, [(1, String::new())]);
    }
}
