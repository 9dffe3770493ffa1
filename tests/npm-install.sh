#!/bin/sh
# npm-install.sh NAME TESTS PACKAGE@VERSION...
#
# Installs packages from npm into target/NAME, once: does nothing when they are there in
# these versions. Without npm it says so and is content: TESTS, as it calls those that need
# them, are then skipped, each with a line on standard error.
set -eu
cd "$(dirname "$0")/.."
name=$1
tests=$2
shift 2
prefix=target/$name

complete() {
    # Written when all are there, so an install that was cut short is done again.
    [ "$(cat "$prefix/installed" 2>/dev/null)" = "$*" ] || return 1
    for package in "$@"; do
        [ -d "$prefix/node_modules/${package%@*}" ] || return 1
    done
}

if complete "$@"; then
    echo "$name: installed in $prefix" >&2
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "$name: npm is not installed, so $tests will be skipped" >&2
    exit 0
fi

echo "$name: npm installs $* into $prefix" >&2
mkdir -p "$prefix"
rm -f "$prefix/installed"
# Its own package file: npm otherwise looks for one further up.
[ -f "$prefix/package.json" ] || echo '{"private":true}' > "$prefix/package.json"
if ! npm install --prefix "$prefix" --save-exact --no-audit --no-fund --loglevel=error "$@"; then
    echo "$name: npm failed; 'cargo test' runs all but $tests" >&2
    exit 1
fi
echo "$*" > "$prefix/installed"
