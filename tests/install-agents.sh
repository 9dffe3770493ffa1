#!/bin/sh
# Installs the real agents that tests/agents.rs runs, from npm into target/agents. Does
# nothing when they are there. Needs node, npm and about 1 GiB; not called by anything
# that must work without a network.
set -eu
cd "$(dirname "$0")/.."
prefix=target/agents

missing=
for agent in claude codex gemini opencode; do
    [ -x "$prefix/node_modules/.bin/$agent" ] || missing="$missing $agent"
done
[ -n "$missing" ] || exit 0

echo "installing$missing into $prefix" >&2
mkdir -p "$prefix"
# Its own package file: npm otherwise looks for one further up.
[ -f "$prefix/package.json" ] || echo '{"private":true}' > "$prefix/package.json"
exec npm install --prefix "$prefix" --no-audit --no-fund --loglevel=error \
    @anthropic-ai/claude-code @openai/codex @google/gemini-cli opencode-ai
