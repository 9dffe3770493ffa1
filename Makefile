# Two commands matter: `make demo` shows the main job, `make test` runs every test.
CARGO ?= cargo

.PHONY: demo test lint man

test: lint
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
