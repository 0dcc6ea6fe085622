# Stands in for the packages feed's rust-package.mk.
RUST_ARCH_DEPENDS := @RUST
CARGO_PKG_VARS =
CARGO_PKG_ARGS =
CARGO_PKG_PROFILE := release
CARGO_RUSTFLAGS =
define RustBinPackage
endef
