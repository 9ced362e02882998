# Every target does its own set-up: tools/setup says what it installs.

TARGET := x86_64-unknown-linux-musl
BINARY := target/$(TARGET)/release/forestage
export FORESTAGE_CACHE ?= $(CURDIR)/target/cache

# The static binary.
all: $(BINARY)

$(BINARY): setup-rust FORCE
	cargo build --release --locked --target $(TARGET)

# Everything that must hold before a change lands.
test: setup-test lint static
	FORESTAGE_BINARY=$(CURDIR)/$(BINARY) tests/tools/run

# The main job in a temporary root in RAM, with a throw-away key. Needs no root.
demo: $(BINARY)
	examples/demo/run $(BINARY)

lint: setup-test
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo deny check licenses bans sources

# What is only true of the finished binary: static-pie, small, at home in an empty chroot; and aarch64 compiles.
static: $(BINARY)
	tests/tools/static $(BINARY)
	cargo check --release --locked --target aarch64-unknown-linux-musl

# The NixOS module: evaluated, built and run as far as nix, NIXPKGS_LIB, NIXOS_TREE and SOPS_NIX are there.
nix-tests:
	nixos-module/tests/run

# Whole processes against a floor program and, with SOPS_INSTALL_SECRETS, the peer.
bench: $(BINARY) setup-test
	benches/run $(BINARY)

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
.PHONY: all test demo lint static nix-tests bench advisories setup-rust setup-test clean FORCE
