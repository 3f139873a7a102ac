// SPDX-License-Identifier: GPL-2.0-only
//! objtool's complaints, out of a build's log.

/// The complaints in a build log, in their order, each once.
///
/// objtool writes `file: warning: objtool: where: what`, and `objtool: error` or `error: objtool:` in newer kernels.
pub fn warnings(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in log.lines().map(str::trim).filter(|line| line.contains("objtool: ")) {
        if !found.iter().any(|seen| seen == line) {
            found.push(line.to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_old_and_new_kernels_are_found_once_each() {
        let log = "  CC [M]  main.o\n\
                   main.o: warning: objtool: f()+0x1: unreachable instruction\n\
                   main.o: warning: objtool: f()+0x1: unreachable instruction\n\
                   involflt.o: error: objtool: g(): stack state mismatch\n\
                   make: tools/objtool/objtool is up to date\n";
        let found = warnings(log);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("f()+0x1: unreachable instruction"));
        assert!(found[1].ends_with("stack state mismatch"));
    }

    #[test]
    fn a_clean_log_has_none() {
        assert!(warnings("  LD [M]  involflt.ko\n  BTF [M] involflt.ko\n").is_empty());
    }
}
