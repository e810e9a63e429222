#!/bin/sh
# Unpacks the C and C++ libraries of this machine's Debian for another architecture, for programs under qemu-user:
#
#   scripts/sysroot.sh arm64|armhf DIR
#
# Uses the mirror that apt is configured with, and changes nothing of this machine's packages.
set -eu
[ $# = 2 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 1; }
arch=$1
mkdir -p "$2"
root=$(cd "$2" && pwd)
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
chmod 755 "$state" "$state/packages"
: > "$state/status"
# Only Debian's own mirror: other sources need not have the architecture.
sources=/etc/apt/sources.list.d/debian.sources
[ -e "$sources" ] || sources=/etc/apt/sources.list
cat > "$state/apt.conf" <<CONF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Dir::Etc::sourcelist "$sources";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
CONF
export APT_CONFIG="$state/apt.conf"
# A mirror may be in the middle of an update; what matters is whether the packages can be had.
apt-get -qq update || true
cd "$state/packages"
apt-get -qq download libc6 libgcc-s1 libstdc++6 libatomic1
for package in *.deb; do dpkg-deb -x "$package" "$root"; done
