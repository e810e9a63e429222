#!/bin/sh
# Makes the two Debian packages of one architecture from a production tree, with Debian's own tools:
#
#   scripts/debian.sh amd64|arm64|armhf TREE FOLDER
#
# TREE is what scripts/production-tree.mjs makes (x64, arm64, arm). `midge` is the broker beside an installed Mosquitto;
# `midge-mosquitto` puts it and the commands in the place of the packages mosquitto and mosquitto-clients.
set -eu
[ $# = 3 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 1; }
arch=$1
tree=$(cd "$2" && pwd)
mkdir -p "$3"
target=$(cd "$3" && pwd)
project=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^ *"version": "\(.*\)",/\1/p' "$tree/package.json" | head -1)
: "${SOURCE_DATE_EPOCH:=$(git -C "$project" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
[ -n "${DEBEMAIL:-}" ] || { echo "debian.sh: DEBEMAIL has to be set: the address of who makes the packages." >&2; exit 1; }
maintainer="${DEBFULLNAME:-Midge} <$DEBEMAIL>"
year=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y)
date=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022

# Prints the copyright file; the other packages' licences lie beside their files.
copyright() {
	cat <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Midge

Files: *
Copyright: $year the authors of Midge
License: EPL-2.0
 The whole text is in /usr/lib/midge/LICENSE.

Files: usr/lib/midge/node_modules/*
Copyright: $year the authors of each package
License: see-each-package
 The terms are in the package.json and LICENSE of each folder below
 /usr/lib/midge/node_modules; /usr/lib/midge/sbom.json lists them.
TEXT
}

# overrides NAME TAG: what lintian finds in files that come prebuilt and are not ours to change
overrides() {
	mkdir -p "$scratch/$1/usr/share/lintian/overrides"
	printf '# Prebuilt by its authors.\n%s: %s\n' "$1" "$2" > "$scratch/$1/usr/share/lintian/overrides/$1"
}

# control NAME ARCHITECTURE RELATIONS SUMMARY TEXT: the package's description
control() {
	cat > "$scratch/$1/DEBIAN/control" <<TEXT
Package: $1
Version: $version
Architecture: $2
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$scratch/$1" | cut -f1)
$3
Section: net
Priority: optional
Description: $4
$5
TEXT
}

# finish NAME ARCHITECTURE: documents, sums, the package
finish() {
	docs="$scratch/$1/usr/share/doc/$1"
	mkdir -p "$docs"
	copyright > "$docs/copyright"
	printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
		"$1" "$version" "$maintainer" "$date" | gzip -9n > "$docs/changelog.gz"
	(cd "$scratch/$1" && find . -path ./DEBIAN -prune -o -type f -print | sed 's/^..//' | LC_ALL=C sort |
		xargs -d '\n' md5sum > DEBIAN/md5sums)
	find "$scratch/$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group --build "$scratch/$1" "$target/$1_${version}_$2.deb" > /dev/null
	echo "$target/$1_${version}_$2.deb"
}

midge() {
	root="$scratch/midge"
	lib="$root/usr/lib/midge"
	mkdir -p "$root/DEBIAN" "$root/usr/lib" "$root/usr/bin" "$root/usr/share/doc/midge" "$root/lib/systemd/system" \
		"$root/usr/lib/sysusers.d"
	cp -r "$tree" "$lib"
	mv "$lib/docs" "$lib/deploy/examples" "$root/usr/share/doc/midge/"
	gzip -9nc "$lib/CHANGELOG.md" > "$root/usr/share/doc/midge/CHANGELOG.md.gz"
	rm -rf "$lib/deploy" "$lib/CHANGELOG.md" "$lib/README.md"
	chmod -R u=rwX,go=rX "$root"
	find "$lib" -type f ! -path '*/dist/src/cli/*.cjs' ! -name midge.cjs ! -path '*/scripts/midge' -exec chmod 644 {} +
	ln -s ../lib/midge/scripts/midge "$root/usr/bin/midge"
	sed 's,/usr/bin/env midge,/usr/bin/midge,; /^#   cp /d; /^#   systemctl /d' "$project/deploy/midge.service" \
		> "$root/lib/systemd/system/midge.service"
	cp "$project/deploy/midge.sysusers" "$root/usr/lib/sysusers.d/midge.conf"
	overrides midge 'unstripped-binary-or-object [usr/lib/midge/node_modules/*]'
	cat > "$root/DEBIAN/postinst" <<'SH'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
	# Mosquitto's user, so that its files can be used as they are.
	if ! getent passwd mosquitto >/dev/null; then
		adduser --system --group --no-create-home --home /var/lib/mosquitto --quiet mosquitto
	fi
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		# After an upgrade; it is not started before somebody enables it.
		if [ -n "$2" ]; then deb-systemd-invoke try-restart midge.service >/dev/null || true; fi
	fi
fi
SH
	cat > "$root/DEBIAN/prerm" <<'SH'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop midge.service >/dev/null || true
fi
SH
	cat > "$root/DEBIAN/postrm" <<'SH'
#!/bin/sh
set -e
# What is stored, the configuration and the user stay: they may be Mosquitto's.
if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper purge midge.service >/dev/null || true
fi
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
SH
	chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"
	control midge "$arch" "Depends: nodejs (>= 20), libc6 (>= 2.34), libstdc++6 (>= 11), adduser
Suggests: midge-mosquitto" 'MQTT broker for small machines' \
		' Midge reads the configuration of Mosquitto, takes over its mosquitto.db and
 uses all cores of the processor. It speaks MQTT 3.1, 3.1.1 and 5.0.
 .
 This package does not touch an installed Mosquitto.'
	finish midge "$arch"
}

replacement() {
	root="$scratch/midge-mosquitto"
	completions=$project/deploy/completions
	mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/etc/mosquitto/conf.d" "$root/etc/logrotate.d" \
		"$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
		"$root/usr/share/fish/vendor_completions.d"
	for command in pub sub rr passwd signal db_dump; do
		ln -s "../lib/midge/dist/src/cli/mosquitto_$command.cjs" "$root/usr/bin/mosquitto_$command"
	done
	cp "$completions"/bash/* "$root/usr/share/bash-completion/completions/"
	cp "$completions"/zsh/* "$root/usr/share/zsh/vendor-completions/"
	cp "$completions"/fish/* "$root/usr/share/fish/vendor_completions.d/"
	sed 's/^\t/    /' "$project/deploy/midge.logrotate" > "$root/etc/logrotate.d/mosquitto"
	cat > "$root/etc/mosquitto/mosquitto.conf" <<'CONF'
# Every option: /usr/share/doc/midge. What a package or you add goes into conf.d.
pid_file /run/mosquitto/mosquitto.pid
persistence true
persistence_location /var/lib/mosquitto/
log_dest file /var/log/mosquitto/mosquitto.log
include_dir /etc/mosquitto/conf.d
CONF
	printf '/etc/logrotate.d/mosquitto\n/etc/mosquitto/mosquitto.conf\n' > "$root/DEBIAN/conffiles"
	chmod -R u=rwX,go=rX "$root"
	cat > "$root/DEBIAN/postinst" <<'SH'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	if command -v deb-systemd-helper >/dev/null; then deb-systemd-helper enable midge.service >/dev/null || true; fi
	deb-systemd-invoke restart midge.service >/dev/null || true
fi
SH
	chmod 755 "$root/DEBIAN/postinst"
	control midge-mosquitto all "Depends: midge (>= $version)
Provides: mosquitto, mosquitto-clients
Conflicts: mosquitto, mosquitto-clients
Replaces: mosquitto, mosquitto-clients" 'Midge in the place of Mosquitto' \
		' The commands mosquitto_pub, mosquitto_sub and so on, and Midge as the broker
 of the configuration in /etc/mosquitto. The data of Mosquitto is taken over.'
	finish midge-mosquitto all
}

midge
replacement
