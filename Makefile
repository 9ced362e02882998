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

# Whole processes against a floor program and, with SOPS_INSTALL_SECRETS, the peer.
bench: $(BINARY) setup-test
	benches/run $(BINARY)

# The package: the program, and what runs it in stage 1 and around the initrd on other distributions than NixOS.
# DESTDIR is put in front of everything, PREFIX is where the system looks (/usr; units and hooks name it).
PREFIX := /usr
install: $(BINARY)
	boot-hooks/install "$(BINARY)" "$(DESTDIR)" "$(PREFIX)"

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
.PHONY: all test demo lint static bench install vm-tests advisories setup-rust setup-test clean FORCE
