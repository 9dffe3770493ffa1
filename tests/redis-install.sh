#!/bin/sh
# redis-install.sh
#
# Gets a Redis server for the tests that need a real one, into target/redis, once: unpacked
# from Debian's packages, not installed, so that no service of the machine's comes of it. A
# server on the PATH is taken as it is. Where neither can be had it says so and is content:
# those tests are then skipped, each with a line on standard error.
set -eu
cd "$(dirname "$0")/.."
prefix=target/redis

if command -v redis-server >/dev/null; then
    echo "redis: $(command -v redis-server) is there" >&2
    exit 0
fi
if [ -x "$prefix/redis-server" ]; then
    echo "redis: unpacked in $prefix" >&2
    exit 0
fi
skipped() {
    echo "redis: $1, so the tests with a Redis server will be skipped" >&2
    exit 0
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skipped 'there is neither redis-server nor apt-get'

# What an installation would add: the server, and libraries that the machine does not have.
wanted() {
    LC_ALL=C apt-get --simulate --no-install-recommends install redis-tools 2>/dev/null | awk '/^Inst / { print $2 }'
}
packages=$(wanted)
if [ -z "$packages" ] && [ "$(id -u)" = 0 ]; then
    apt-get -q update >&2 || true
    packages=$(wanted)
fi
[ -n "$packages" ] || skipped 'apt-get does not know of redis-tools'

echo "redis: unpacking" $packages "into $prefix" >&2
rm -rf "$prefix"
mkdir -p "$prefix/packages"
if ! (cd "$prefix/packages" && apt-get -q download $packages >&2); then
    if [ "$(id -u)" != 0 ] || ! apt-get -q update >&2 || ! (cd "$prefix/packages" && apt-get -q download $packages >&2); then
        skipped 'its packages cannot be fetched'
    fi
fi
for package in "$prefix"/packages/*.deb; do
    dpkg-deb -x "$package" "$prefix"
done
libraries=$(cd "$prefix" && pwd)/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
# It is a server by its name.
for name in redis-server redis-cli; do
    program=$name
    [ "$name" = redis-server ] && program=redis-check-rdb
    printf '#!/bin/bash\nexport LD_LIBRARY_PATH=%s\nexec -a %s %s "$@"\n' \
        "'$libraries'" "$name" "'$(cd "$prefix" && pwd)/usr/bin/$program'" > "$prefix/$name"
    chmod 755 "$prefix/$name"
done
"$prefix/redis-server" --version >&2 || { rm -rf "$prefix"; skipped 'the unpacked server does not run'; }
