#!/usr/bin/env bash
# The main job, end to end, in a directory of its own: a task runs in a terminal session,
# and its result, output and history are shown. Usage: tests/demo.sh DIRECTORY_OF_BINARIES
set -euo pipefail
export PATH="$(cd "$1" && pwd):$PATH"
AUTODEV_HOME="$(mktemp -d)"
export AUTODEV_HOME
trap 'autodev daemon stop --kill-sessions >/dev/null 2>&1 || true; rm -rf "$AUTODEV_HOME"' EXIT

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

say autodev submit --provider shell --title 'count to three' --wait -- \
  sh -c 'echo "a real terminal: $(tty), $(stty size)"; for n in 1 2 3; do echo "step $n"; done'
say autodev list --all
say autodev show 1
say autodev logs 1
say autodev history 1
say autodev history --verify
