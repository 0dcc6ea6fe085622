# Stands in for OpenWrt's rules.mk: what the feed's Makefiles use of it.
INCLUDE_DIR := $(TOPDIR)/include
INSTALL_DIR := install -d -m 0755
INSTALL_BIN := install -m 0755
INSTALL_DATA := install -m 0644
INSTALL_CONF := install -m 0600
CP := cp -fpR
LN := ln -sf
