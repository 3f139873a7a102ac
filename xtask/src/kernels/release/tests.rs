// SPDX-License-Identifier: GPL-2.0-only

use super::*;

const REAL: &str = include_str!("../testdata/kernel-releases.tsv");

/// Distribution, release and kernel of every line.
fn real() -> impl Iterator<Item = [&'static str; 3]> {
    REAL.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        columns.try_into().expect("three columns")
    })
}

fn distro(family: Family) -> String {
    serde_json::to_value(family).unwrap().as_str().unwrap().to_string()
}

/// The flavour of a line of that list, whose kernels have few.
fn flavour(distro: &str, kernel: &'static str) -> &'static str {
    match distro {
        "rhel" => "default",
        "debian" if kernel.ends_with("-cloud-amd64") => "cloud-amd64",
        _ => kernel.rsplit('-').next().expect("one part at least"),
    }
}

#[test]
fn every_real_release_is_what_its_distribution_says() {
    let mut count = 0;
    for [name, release, kernel] in real() {
        let parsed = parse(kernel).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((distro(parsed.distro).as_str(), parsed.release.as_str()), (name, release), "{kernel}");
        let pack = release.split_once("-sp").map(|(_, pack)| pack.parse::<u32>().unwrap());
        assert_eq!(parsed.service_pack, pack, "{kernel}");
        assert_eq!(parsed.flavour, flavour(name, kernel), "{kernel}");
        count += 1;
    }
    assert_eq!(count, 502);
}

#[test]
fn releases_outside_of_that_list() {
    for (kernel, expected) in [
        ("5.14.21-150500.55.88-default", "sles 15-sp5 default"),
        ("6.4.0-150700.51-default", "sles 15-sp7 default"),
        ("4.12.14-122.244-default", "sles 12-sp5 default"),
        ("4.12.14-150.17-default", "sles 15 default"),
        ("5.3.18-150300.59.93-default", "sles 15-sp3 default"),
        ("4.4.138-3.14-rt", "sles 12-sp3 rt"),
        ("4.12.14-8.6-rt", "sles 12-sp4 rt"),
        ("4.12.14-10.203-rt", "sles 12-sp5 rt"),
        ("4.12.14-14.47-rt", "sles 15-sp1 rt"),
        ("5.3.18-33-rt", "sles 15-sp2 rt"),
        ("5.3.18-8.10-rt", "sles 15-sp3 rt"),
        ("4.4.180-94.164-default", "sles 12-sp3 default"),
        ("4.4.73-5-default", "sles 12-sp3 default"),
        ("4.4.82-6.9-default", "sles 12-sp3 default"),
        ("4.4.103-6.38-default", "sles 12-sp3 default"),
        ("6.12.0-160000.5-default", "sles 16.0 default"),
        ("5.3.18-lp152.106-default", "opensuse-leap 15.2 default"),
        ("6.11.8-1-default", "opensuse-tumbleweed tumbleweed default"),
        ("5.14.0-284.11.1.el9_2.x86_64+rt", "rhel 9.2 rt"),
        ("6.12.0-55.9.1.el10_0.x86_64", "rhel 10.0 default"),
        ("5.14.0-522.el9.x86_64", "centos-stream 9 default"),
        ("5.15.0-200.131.27.el9uek.x86_64", "oracle 9 uek"),
        ("6.1.94-99.176.amzn2023.x86_64", "amazon 2023 default"),
        ("6.6.57.1-6.azl3", "azure-linux 3 default"),
        ("4.4.0-210-generic", "ubuntu 16.04 generic"),
        ("4.18.0-25-generic", "ubuntu 18.04 generic"),
        ("6.8.0-1015-aws", "ubuntu 24.04 aws"),
        ("7.0.0-1021-azure", "ubuntu 26.04 azure"),
        ("7.3-rc7-amd64", "debian experimental amd64"),
    ] {
        let parsed = parse(kernel).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{} {} {}", distro(parsed.distro), parsed.release, parsed.flavour), expected, "{kernel}");
    }
}

#[test]
fn what_is_not_known_is_refused_with_the_part_that_is_not() {
    for (kernel, says) in [
        ("", "1 to 64"),
        ("6.1.0", "no `-`"),
        ("6.1.0-56-amd64 ", "' '"),
        ("6.1.0-56-amd64\n", "'\\n'"),
        ("6.1.0-56-büro-amd64", "'ü'"),
        ("6.1.0-56-amd64x", "amd64x"),
        ("6.1.0-56-x-amd64", "x-amd64"),
        ("6.1.0-99999999999-amd64", "too large"),
        ("6.1.0-056-amd64", "056"),
        ("6.3.0-1-amd64", "6.3"),
        ("6.12.6-amd64", "6.12.6"),
        ("6.12.6+deb99-amd64", "deb99"),
        ("6.8.0-58-azure", "58"),
        ("6.9.0-12-generic", "generic"),
        ("5.14.21-150900.1.1-default", "150900"),
        ("6.4.0-150500.33.29-azure", "150500"),
        ("4.12.14-16.163-default", "4.12.14-16.163"),
        ("4.18.0-305.el8.x86_64", "CentOS Stream"),
        ("5.14.0-284.86.1.el9_4.x86_64", "284"),
        ("5.14.0-284.86.1.el8_4.x86_64", "RHEL 8"),
        ("5.14.0-284.86.1.el9_2.s390x", "s390x"),
        ("5.14.0-284.86.1.el9_2.x86_64+", "flavour"),
        ("6.6.87.2-microsoft-standard-WSL2", "standard-WSL2"),
        ("6.18.3-arch1-1", "no family"),
    ] {
        let error = parse(kernel).expect_err(kernel);
        assert!(error.message.contains(says), "{kernel}: {error}");
        assert_eq!(error.kind.exit_code(), 2);
    }
    assert!(parse(&"9".repeat(100_000)).is_err());
}

/// One character more, less or other: refused, or still of the same distribution.
#[test]
fn no_slip_of_a_character_gives_another_distribution() {
    for [name, _, kernel] in real() {
        for at in 0..=kernel.len() {
            let (head, tail) = kernel.split_at(at);
            let less = tail.get(1..).unwrap_or("");
            let mut slips = vec![head.to_string(), tail.to_string(), format!("{head}{less}")];
            for c in ['0', '1', '5', '9', '.', '-', '_', '+', 'a', 'e', ' ', '\0', 'é'] {
                slips.push(format!("{head}{c}{tail}"));
                slips.push(format!("{head}{c}{less}"));
            }
            for slip in slips {
                if let Ok(parsed) = parse(&slip) {
                    assert_eq!(distro(parsed.distro), name, "{slip}, which was {kernel}");
                }
            }
        }
    }
}
