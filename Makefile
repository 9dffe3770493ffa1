# Two commands matter: `make demo` shows the main job, `make test` runs every test.
CARGO ?= cargo
PREFIX ?= $(HOME)/.local
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test lint agents xterm build install uninstall

demo: build
	tests/demo.sh $(TARGET)/release

build:
	$(CARGO) build --release

# The agents' own programs, for the tests that run them; those tests are skipped, and say
# so, where there is no npm.
agents:
	tests/install-agents.sh

# A terminal that is not ours, for the tests of pictures.
xterm:
	tests/install-xterm.sh

test: lint agents xterm
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

# By a new name and a rename: programs that run keep theirs.
install: build
	for program in autodev autodevd; do \
		install -D -m 755 $(TARGET)/release/$$program $(DESTDIR)$(PREFIX)/bin/.$$program.new && \
		mv -f $(DESTDIR)$(PREFIX)/bin/.$$program.new $(DESTDIR)$(PREFIX)/bin/$$program || exit 1; \
	done
	for page in man/*; do \
		section=$${page##*.} && \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$$section/$${page##*/} || exit 1; \
	done

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,autodev autodevd)
	for page in man/*; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
