// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask`: the involflt build farm.

mod ahead;
mod assemble;
mod bench_farm;
mod boot;
mod build;
mod build_matrix;
mod check;
mod checksum;
mod completions;
mod container;
mod core_object;
mod credentials;
mod ctl_program;
mod display;
mod dkms;
mod error;
mod event;
mod executor;
mod fetch;
mod gather;
mod inputs;
mod kdir;
mod kernels;
mod last_good;
mod lock;
mod machine;
mod mirrors;
mod module_source;
mod package;
mod page;
mod parallel;
mod plan;
mod plot;
mod probes;
mod publish;
mod registry;
mod report;
mod repository;
mod resolve;
mod result;
mod root;
mod rpm_signature;
mod run;
mod sbom;
mod select;
mod setup;
mod shard;
mod sign;
mod site;
mod source;
mod static_program;
mod store;
mod store_command;
mod test;
mod timeline;
mod tree;
mod unpack;
mod usage;
mod verify;
mod vm;
mod watch;
mod work_tree;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xshell::Shell;

/// The involflt build farm: resolve a kernel matrix, build involflt.ko for it, boot it, report.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One type per command, each with `run(self, &Shell)`, in a file of its own.
#[derive(Subcommand)]
enum Command {
    Bench(vm::Bench),
    BuildMatrix(build_matrix::BuildMatrix),
    Completions(completions::Completions),
    Gather(gather::Gather),
    Matrix(resolve::Matrix),
    Probes(probes::Probes),
    Publish(publish::Publish),
    Release(kernels::ReleaseCommand),
    Report(report::Report),
    Resolve(resolve::Resolve),
    Site(site::Site),
    Source(source::Source),
    Store(store_command::StoreCommand),
    Test(test::Test),
    Verify(verify::Verify),
    Vm(vm::Vm),
    Watch(watch::Watch),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Shell::new().map_err(Into::into).and_then(|shell| run(cli.command, &shell)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn run(command: Command, shell: &Shell) -> error::Result<()> {
    match command {
        Command::Bench(command) => command.run(shell),
        Command::BuildMatrix(command) => command.run(shell),
        Command::Completions(command) => command.run::<Cli>(shell),
        Command::Gather(command) => command.run(shell),
        Command::Matrix(command) => command.run(shell),
        Command::Probes(command) => command.run(shell),
        Command::Publish(command) => command.run(shell),
        Command::Release(command) => command.run(shell),
        Command::Report(command) => command.run(shell),
        Command::Resolve(command) => command.run(shell),
        Command::Site(command) => command.run(shell),
        Command::Source(command) => command.run(shell),
        Command::Store(command) => command.run(shell),
        Command::Test(command) => command.run(shell),
        Command::Verify(command) => command.run(shell),
        Command::Vm(command) => command.run(shell),
        Command::Watch(command) => command.run(shell),
    }
}
