#!/bin/sh
# Installs the programs that crosstest/interop tries the tokens with: packages of Debian for Python, Ruby, Perl and C, and
# those of npm for Node.js. It says so first. The exit status is 1 if something was not installed.
#   INSTALL_SERVICES=no    install nothing, and exit with 1
#
# Node.js 20 or later has to be there: many Debian releases have an older one.
set -eu
cd "$(dirname "$0")/../crosstest/interop"

say() { echo "scripts/interop.sh: $*" >&2; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# try WHAT COMMAND... runs the command, and shows what it printed where it fails.
failed=0
try() {
	what=$1
	shift
	say "installing now: $*"
	"$@" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		say "$what could not be installed"
		failed=1
	}
}

if [ "${INSTALL_SERVICES:-yes}" = no ]; then
	say "INSTALL_SERVICES=no: nothing is installed"
	exit 1
fi

packages=
for package in python3-jwt python3-authlib python3-jose python3-jwcrypto python3-google-auth \
	python3-djangorestframework-simplejwt python3-python-flask-jwt-extended \
	ruby ruby-jwt ruby-json-jwt libcrypt-jwt-perl libmojo-jwt-perl \
	gcc pkg-config libjwt-dev libjansson-dev jwt jose; do
	dpkg -s "$package" >/dev/null 2>&1 || packages="$packages $package"
done
if [ -n "$packages" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	if command -v apt-get >/dev/null 2>&1 && $sudo true 2>/dev/null; then
		$sudo apt-get update -qq >/dev/null 2>&1 || true
		# shellcheck disable=SC2086 # the lists are split on purpose
		try "verifiers in other languages" $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
	else
		say "there is no apt-get that this script can use; the packages of Debian are:$packages"
		failed=1
	fi
fi

if command -v npm >/dev/null 2>&1; then
	try "the packages of npm" npm ci --prefix node
else
	say "there is no npm: Node.js 20 or later is needed for the verifiers of JavaScript"
	failed=1
fi
exit "$failed"
