# SPDX-License-Identifier: GPL-2.0-only
# Reads the package of the Open Build Service in /source with the service's own code (Debian's obs-server and obs-build):
# _service and _multibuild, and for each flavour the spec, with the project configuration of every SLE and Leap 15 that
# obs-build has. Says one line, or dies.
use strict;
use warnings;
use lib '/usr/lib/obs/server', '/usr/lib/obs-build';
use BSXML;
use BSUtil;
use Build;

sub expect {
    my ($what, $found, $expected) = @_;
    die "$what: found '$found', not '$expected'\n" if $found ne $expected;
}

my $service = readxml('/source/_service', $BSXML::services)->{service};
my %parameters = map { $_->{name} => $_->{_content} } @{$service->[0]{param}};
expect('_service', join(' ', map { $_->{name} } @$service), 'verify_file');
my $sum = (split ' ', `sha256sum /source/$parameters{file}`)[0];
expect("_service: SHA-256 of $parameters{file}", $parameters{checksum}, $sum);

my @flavors = @{readxml('/source/_multibuild', $BSXML::multibuild)->{flavor}};
expect('_multibuild', "@flavors", 'telemetry');

my @configs = grep { /\/sle?1[25]\.\d\.conf$/ && !/sl12/ } glob('/usr/lib/obs-build/configs/*');
die "obs-build has no configuration of a SLE\n" unless @configs > 5;
for my $path (@configs) {
    for my $flavor ('', @flavors) {
        my $config = Build::read_config('x86_64', $path);
        $config->{buildflavor} = $flavor;
        my $package = Build::parse($config, '/source/involflt.spec');
        my $where = "$path, flavour '$flavor'";
        die "$where: $package->{error}\n" if $package->{error};
        expect("$where: name", $package->{name}, $flavor ? "involflt-$flavor" : 'involflt');
        expect("$where: source", $package->{source0}, $parameters{file});
        # What the service installs before a build: the macro's value is of the service's own configuration.
        my %needs = map { $_ => 1 } @{$package->{deps}};
        die "$where: no kernel-syms among @{$package->{deps}}\n" unless $needs{'kernel-syms'} && $needs{make};
    }
}
print scalar(@configs), " project configurations, each in ", 1 + @flavors, " flavours\n";
