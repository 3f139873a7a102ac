// SPDX-License-Identifier: GPL-2.0-only
//! Search of a kernel log for complaints.

/// What no line of the kernel log may have.
const COMPLAINTS: [&str; 32] = [
    "BUG:",
    "kernel BUG at",
    "WARNING:",
    "Oops",
    "Kernel panic",
    "general protection fault",
    "unable to handle",
    "Call Trace",
    "possible circular locking",
    "possible recursive locking",
    "possible irq lock inversion",
    "inconsistent lock state",
    "bad unlock balance",
    "lock held when returning to user space",
    "suspicious RCU usage",
    "rcu: INFO:",
    "self-detected stall",
    "detected stalls",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "hung task",
    "scheduling while atomic",
    "sleeping function called from invalid context",
    "refcount_t:",
    "KASAN:",
    "UBSAN:",
    "list_add corruption",
    "list_del corruption",
    "I/O error",
    "Out of memory",
    "segfault at",
];

/// The first line of a kernel log that complains.
pub fn complaint(log: &str) -> Option<&str> {
    log.lines().map(str::trim_end).find(|line| COMPLAINTS.iter().any(|text| line.contains(text)))
}

/// The last lines of a log that say something, to show where a run ended.
pub fn tail(log: &str, count: usize) -> String {
    let lines: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_complaint_is_found_with_its_line() {
        let lines = [
            "[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "[    3.1] WARNING: CPU: 0 PID: 71 at block/blk-mq.c:300 blk_mq_unfreeze_queue+0x5/0x60",
            "[    3.1] WARNING: possible circular locking dependency detected",
            "[   30.2] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "[    9.0] INFO: task init:1 blocked for more than 30 seconds.",
            "[    9.0] BUG: scheduling while atomic: guest/71/0x00000002",
            "[    9.0] refcount_t: underflow; use-after-free.",
        ];
        for line in lines {
            let log = format!("[    0.0] Linux version 6.1.0\n{line}\r\n[   10.0] reboot: Power down\n");
            assert_eq!(complaint(&log), Some(line));
        }
    }

    #[test]
    fn a_quiet_boot_has_no_complaint() {
        let log = "[    0.0] Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org)\n\
                   [    1.9] involflt: loading out-of-tree module taints kernel.\n\
                   [    1.9] involflt: module verification failed: signature and/or required key missing\n\
                   [    1.2] debugfs: debugging is off\n";
        assert_eq!(complaint(log), None);
        assert_eq!(tail("a\n\n b \n", 1), "b");
    }
}
