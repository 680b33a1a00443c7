#!/bin/sh
# Finds the servers that the tests need, and installs those that are missing. The tests start the servers themselves, on
# free ports of 127.0.0.1. The table at the end of this file lists the servers.
#
# A server that is on PATH is used as it is, and PostgreSQL also where Debian and brew install it. For a missing one the
# script says what it will install, and then installs it with the packages of the system: apt-get (as root, or through
# sudo without a password) or brew. To avoid that:
#   REDIS_SERVER=PATH      use this redis-server
#   POSTGRES_BIN=DIR       use the initdb and postgres in this directory
#   POSTGRES_BIN=no        skip the tests with PostgreSQL
#   INSTALL_SERVICES=no    install nothing; fail where a server is missing
set -eu

have() { command -v "$1" >/dev/null 2>&1; }
say() { echo "scripts/services.sh: $*" >&2; }

# found PROGRAM VALUE reports whether there is the program. VALUE is its path, its directory or empty.
found() {
	if [ -d "$2" ]; then
		[ -x "$2/$1" ]
	elif [ -n "$2" ]; then
		have "$2"
	elif ! have "$1"; then
		for path in /usr/lib/postgresql/*/bin/"$1" /opt/homebrew/opt/postgresql@*/bin/"$1" /usr/local/opt/postgresql@*/bin/"$1"; do
			[ ! -x "$path" ] || return 0
		done
		return 1
	fi
}

# service PROGRAM VARIABLE DEBIAN_PACKAGE BREW_FORMULA OLDEST_VERSION makes sure that there is one server.
service() {
	eval "value=\${$2:-}"
	if [ "$value" = no ]; then
		return
	fi
	if [ -n "$value" ] && ! found "$1" "$value"; then
		say "$2 names '$value', where there is no $1 that can be run"
		exit 1
	fi
	if found "$1" "$value"; then
		return
	fi
	say "the tests need $1 ($3 $5 or later), and there is none here"
	if have apt-get && [ "$(id -u)" = 0 ]; then
		command="apt-get install $3" sudo=""
	elif have apt-get && have sudo && sudo -n true 2>/dev/null; then
		command="sudo apt-get install $3" sudo="sudo -n"
	elif have brew; then
		command="brew install $4"
	else
		command=""
	fi
	if [ "${INSTALL_SERVICES:-yes}" = no ]; then
		say "INSTALL_SERVICES=no: nothing is installed"
		by_hand "$@"
	fi
	if [ -z "$command" ]; then
		say "there is no package manager here that this script can use"
		by_hand "$@"
	fi
	say "installing it now: $command"
	say "to avoid this, set $2 to the path of $1, or set INSTALL_SERVICES=no"
	status=0
	case $command in
	brew*) brew install --quiet "$4" >"$log" 2>&1 || status=$? ;;
	*) apt "$sudo" "$3" || status=$? ;;
	esac
	if [ "$status" != 0 ] || ! found "$1" ""; then
		cat "$log" >&2
		say "$1 could not be installed"
		by_hand "$@"
	fi
}

# by_hand takes the arguments of service. It tells the user what to do, and ends the script.
by_hand() {
	say "install $1 by hand (apt-get install $3, brew install $4), or set $2 to its path"
	exit 1
}

# apt SUDO PACKAGE installs a package of Debian without starting its service. While policy-rc.d exits with 101, Debian
# starts no service.
apt() {
	policy=/usr/sbin/policy-rc.d
	made=no
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $1 tee "$policy" >/dev/null && $1 chmod 755 "$policy" && made=yes
	fi
	result=0
	{
		$1 apt-get update -qq &&
			$1 env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"
	} >"$log" 2>&1 || result=$?
	if [ "$made" = yes ]; then
		$1 rm -f "$policy"
	fi
	return "$result"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

#       program       variable      Debian package  brew formula   oldest version
service redis-server  REDIS_SERVER  redis-server    redis          6.2
service initdb        POSTGRES_BIN  postgresql      postgresql@17  13
