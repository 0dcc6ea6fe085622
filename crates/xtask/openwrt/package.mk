# Stands in for OpenWrt's package.mk: BuildPackage says what the package is, as lines `PACKAGE FIELD VALUE`, and gives a target
# that installs it into ROOT.
FIELDS := SECTION CATEGORY SUBMENU TITLE DEPENDS PROVIDES CONFLICTS

define BuildPackage
$(foreach field,$(FIELDS),$(eval $(field) := ))$(eval $(value Package/$(1)))$(info $(1) conffiles $(strip $(value Package/$(1)/conffiles)))$(foreach field,$(FIELDS),$(info $(1) $(field) $(strip $($(field)))))
.PHONY: install-$(1)
install-$(1):
	$(call Package/$(1)/install,$(ROOT))
endef

# Fills PKG_BUILD_DIR.
.PHONY: prepare
prepare:
	$(Build/Prepare)

.PHONY: values
values: ; $(foreach name,PKG_NAME PKG_VERSION PKG_RELEASE PKG_LICENSE PKG_BUILD_DEPENDS PKG_CONFIG_DEPENDS MAKE_PATH RUST_PKG_FEATURES CARGO_PKG_ARGS CARGO_PKG_VARS CARGO_PKG_PROFILE CARGO_RUSTFLAGS,$(info - $(name) $(strip $($(name)))))@:
