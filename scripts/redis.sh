#!/bin/sh
# Makes sure that there is a redis-server on PATH for the tests, which start it themselves on free ports.
# Present: nothing happens. Absent: it is installed with the system's packages (apt-get as root or through sudo -n, or
# brew). Set REDIS_SERVER to use a binary of your own.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

if have "${REDIS_SERVER:-redis-server}"; then
	exit 0
fi
if [ -n "${REDIS_SERVER:-}" ]; then
	echo "scripts/redis.sh: REDIS_SERVER names '$REDIS_SERVER', which cannot be run" >&2
	exit 1
fi

# Debian's package starts a service on port 6379. The tests need none: while policy-rc.d says 101 nothing is started, and
# where one started all the same (no policy could be written) this script says so.
apt() {
	policy=/usr/sbin/policy-rc.d
	made=no
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $1 tee "$policy" >/dev/null && $1 chmod 755 "$policy" && made=yes
	fi
	status=0
	{
		$1 apt-get update -qq &&
			$1 env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server
	} >"$log" 2>&1 || status=$?
	if [ "$made" = yes ]; then
		$1 rm -f "$policy"
	fi
	return "$status"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "scripts/redis.sh: no redis-server on PATH, installing it" >&2

if have apt-get && [ "$(id -u)" = 0 ]; then
	apt "" || status=$?
elif have apt-get && have sudo && sudo -n true 2>/dev/null; then
	apt "sudo -n" || status=$?
elif have brew; then
	brew install --quiet redis >"$log" 2>&1 || status=$?
else
	echo "scripts/redis.sh: install redis-server 6.0 or later by hand (sudo apt-get install redis-server," >&2
	echo "  sudo dnf install redis, brew install redis), or set REDIS_SERVER to its path" >&2
	exit 1
fi

if [ "${status:-0}" != 0 ] || ! have redis-server; then
	cat "$log" >&2
	echo "scripts/redis.sh: redis-server could not be installed" >&2
	exit 1
fi
if [ -r /proc/net/tcp ] && grep -q ':18EB 00000000:0000 0A' /proc/net/tcp; then
	echo "scripts/redis.sh: note: something listens on port 6379; the tests do not use it" >&2
fi
