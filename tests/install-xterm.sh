#!/bin/sh
# Installs xterm.js, which tests/terminal compares our screens with, from npm into
# target/xterm: 3 MiB, once. Does nothing when it is there in this version. Without npm it
# says so and is content: those tests are then skipped, each with a line on standard error.
set -eu
cd "$(dirname "$0")/.."
prefix=target/xterm

# Exactly these: the tests look into what the library keeps to itself. The release, 6.0.0,
# does not know the kitty keyboard protocol.
wanted='@xterm/headless@6.1.0-beta.334 @xterm/addon-unicode-graphemes@0.4.0'

# Written when all are there, so an install that was cut short is done again.
if [ "$(cat "$prefix/installed" 2>/dev/null)" = "$wanted" ]; then
    echo "terminal: xterm.js is in $prefix" >&2
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "terminal: npm is not installed, so the tests with xterm.js will be skipped" >&2
    exit 0
fi

echo "terminal: npm installs $wanted into $prefix" >&2
mkdir -p "$prefix"
rm -f "$prefix/installed"
# Its own package file: npm otherwise looks for one further up.
[ -f "$prefix/package.json" ] || echo '{"private":true}' > "$prefix/package.json"
# shellcheck disable=SC2086 # a list of words
if ! npm install --prefix "$prefix" --save-exact --no-audit --no-fund --loglevel=error $wanted; then
    echo "terminal: npm failed; 'cargo test' runs all tests but those with xterm.js" >&2
    exit 1
fi
echo "$wanted" > "$prefix/installed"
