# Two commands matter: `make demo` shows the main job, `make test` runs every test.
CARGO ?= cargo
PREFIX ?= $(HOME)/.local
# Where systemd looks for units of packages, below each data directory.
UNITS = $(PREFIX)/share/systemd/user
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test lint agents xterm redis crash power soak redis-storm fuzz build install uninstall

demo: build
	tests/demo.sh $(TARGET)/release

build:
	$(CARGO) build --release

# The agents' own programs, about 1 GiB, for the tests that run them; those tests are
# skipped, and say so, where there is no npm. Exactly these: a test that fails shall mean
# that we changed, not that they did.
agents:
	tests/npm-install.sh agents 'the tests that run real agents' \
		@anthropic-ai/claude-code@2.1.197 @openai/codex@0.169.0 @google/gemini-cli@0.61.0 opencode-ai@1.18.33

# xterm.js, a terminal that is not ours, 3 MiB, for the tests of pictures. Exactly these:
# they look into what it keeps to itself. Its release, 6.0.0, does not know the kitty
# keyboard protocol.
xterm:
	tests/npm-install.sh xterm 'the tests with xterm.js' \
		@xterm/headless@6.1.0-beta.334 @xterm/addon-unicode-graphemes@0.4.0

# A Redis server, 5 MiB, for the tests of the copy in Redis; unpacked, not installed.
redis:
	tests/redis-install.sh

test: lint agents xterm redis
	$(CARGO) test

# The long runs of what `make test` does for a moment: RELIABILITY.md. Each prints its seeds.
CASES ?= 2000000
KILLS ?= 5000
crash:
	PROPTEST_CASES=$(CASES) $(CARGO) test --release --lib recovery::model
	AUTODEV_FAULTS=all $(CARGO) test --test faults -- --nocapture
	AUTODEV_STORM_KILLS=$(KILLS) $(CARGO) test --test storm -- --nocapture

CUTS ?= 50
power:
	AUTODEV_POWER_CUTS=$(CUTS) $(CARGO) test --test power -- --nocapture

SECONDS_ALL ?= 1800
soak:
	AUTODEV_SOAK_SECONDS=$(SECONDS_ALL) $(CARGO) test --release --test soak -- --nocapture

STORMS ?= 50
redis-storm: redis
	AUTODEV_REDIS_STORMS=$(STORMS) $(CARGO) test --test redis storm -- --nocapture

# Needs cargo-fuzz: fuzz/README.md.
SECONDS_EACH ?= 60
fuzz:
	for target in frame exit_record session; do \
		mkdir -p fuzz/corpus/$$target && \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS_EACH) || exit 1; \
	done

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
	for shell in bash zsh fish; do \
		$(TARGET)/release/autodev completions $$shell > $(TARGET)/completions.$$shell || exit 1; \
	done
	install -D -m 644 $(TARGET)/completions.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/autodev
	install -D -m 644 $(TARGET)/completions.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_autodev
	install -D -m 644 $(TARGET)/completions.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/autodev.fish
	mkdir -p $(DESTDIR)$(UNITS)
	sed 's|^ExecStart=.*|ExecStart=$(PREFIX)/bin/autodevd|' config/autodevd.service > $(DESTDIR)$(UNITS)/autodevd.service
	install -m 644 config/autodevd.socket $(DESTDIR)$(UNITS)/autodevd.socket
	install -D -m 644 config/redis.conf $(DESTDIR)$(PREFIX)/share/autodev/redis.conf

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,autodev autodevd)
	for page in man/*; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/autodev
	rm -f $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_autodev
	rm -f $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/autodev.fish
	rm -f $(addprefix $(DESTDIR)$(UNITS)/,autodevd.service autodevd.socket)
	rm -rf $(DESTDIR)$(PREFIX)/share/autodev
