# Two commands matter: `make demo` shows the main job, `make test` runs every test.
CARGO ?= cargo

.PHONY: demo test lint agents

demo:
	$(CARGO) build --release
	tests/demo.sh target/release

# The agents' own programs, for the tests that run them.
agents:
	tests/install-agents.sh

test: lint agents
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
