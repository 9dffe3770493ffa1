#!/bin/sh
# Installs the real agents that tests/agents.rs runs, from npm into target/agents: about
# 1 GiB, once. Does nothing when they are there in these versions. Without npm it says so
# and is content: those tests are then skipped, each with a line on standard error.
set -eu
cd "$(dirname "$0")/.."
prefix=target/agents

# Exactly what the tables in config/providers were tried with: a test that fails shall
# mean that we changed, not that they did.
wanted='@anthropic-ai/claude-code@2.1.197 @openai/codex@0.169.0 @google/gemini-cli@0.61.0 opencode-ai@1.18.33'

complete() {
    # Written when all are there, so an install that was cut short is done again.
    [ "$(cat "$prefix/installed" 2>/dev/null)" = "$wanted" ] || return 1
    for agent in claude codex gemini opencode; do
        [ -x "$prefix/node_modules/.bin/$agent" ] || return 1
    done
}

if complete; then
    echo "agents: they are in $prefix" >&2
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "agents: npm is not installed, so the tests that run real agents will be skipped" >&2
    exit 0
fi

echo "agents: npm installs $wanted into $prefix" >&2
mkdir -p "$prefix"
rm -f "$prefix/installed"
# Its own package file: npm otherwise looks for one further up.
[ -f "$prefix/package.json" ] || echo '{"private":true}' > "$prefix/package.json"
# shellcheck disable=SC2086 # a list of words
if ! npm install --prefix "$prefix" --save-exact --no-audit --no-fund --loglevel=error $wanted; then
    echo "agents: npm failed; 'cargo test' runs all tests but those of the agents" >&2
    exit 1
fi
echo "$wanted" > "$prefix/installed"
