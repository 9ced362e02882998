# Every target does its own set-up: tools/setup says what it installs.

TARGET := x86_64-unknown-linux-musl
BINARY := target/$(TARGET)/release/forestage
SMALL := target/$(TARGET)/initrd/forestage
export FORESTAGE_CACHE ?= $(CURDIR)/target/cache

# The static binary.
all: $(BINARY)

$(BINARY): setup-rust FORCE
	cargo build --release --locked --target $(TARGET)
	@# Cached in the small pieces that a linker writes it in, it takes 80 microseconds more to start than copied.
	@cp $@ $@.copied && mv $@.copied $@

# The smallest: age and ssh-ed25519 identities only, for the initrd.
small: $(SMALL)

$(SMALL): setup-rust FORCE
	cargo build --profile initrd --no-default-features --locked --target $(TARGET)

# Everything that must hold before a change lands.
test: setup-test lint static
	tools/setup vm
	FORESTAGE_BINARY=$(CURDIR)/$(BINARY) tests/tools/run

# The main job in a temporary root in RAM, with a throw-away key. Needs no root.
demo: $(BINARY)
	examples/demo/run $(BINARY)

lint: setup-test
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo deny check licenses bans sources

# What is only true of the finished binaries: static-pie, small, at home in an empty chroot; and aarch64 compiles.
static: $(BINARY) $(SMALL)
	tests/tools/static $(BINARY) 3145728
	tests/tools/static $(SMALL) 1677721
	cargo check --release --locked --target aarch64-unknown-linux-musl

# The NixOS module: evaluated, built and run as far as nix, NIXPKGS_LIB, NIXOS_TREE and SOPS_NIX are there.
nix-tests: $(BINARY)
	FORESTAGE_BINARY=$(CURDIR)/$(BINARY) nixos-module/tests/run

# Whole processes against a floor program and, with SOPS_INSTALL_SECRETS, the peer.
bench: $(BINARY) setup-test
	benches/run $(BINARY)

# The package: the program, and what runs it in stage 1 and around the initrd on other distributions than NixOS.
# DESTDIR is put in front of everything, PREFIX is where the system looks (/usr; units and hooks name it).
# NAMES are other programs' names that it answers to as well: sops-install-secrets ssh-to-age ssh-to-pgp sops-init-gpg-key.
PREFIX := /usr
NAMES :=
install: $(BINARY)
	boot-hooks/install "$(BINARY)" "$(DESTDIR)" "$(PREFIX)" $(NAMES)

# Real kernels under QEMU, with real systemd: what became of the secrets of the initrd.
vm-tests: $(BINARY)
	tools/setup vm
	FORESTAGE_BINARY=$(CURDIR)/$(BINARY) vm-tests/qemu/run

# Known vulnerabilities of dependencies; the database comes from outside.
advisories: setup-test
	tests/tools/advisories

setup-rust:
	tools/setup rust

setup-test: setup-rust
	tools/setup test

clean:
	cargo clean

FORCE:
.PHONY: all small test demo lint static bench install vm-tests nix-tests advisories setup-rust setup-test clean FORCE
