# SPDX-License-Identifier: GPL-2.0-only
# Builds involflt.ko for one KDIR, with the kernel's own compiler; no cargo, no python, no network:
#   make -f involflt.mak KDIR=/lib/modules/$(uname -r)/build [TELEMETRY=yes] [PATCH_LEVEL=n] [PLATFORM=rfl] [INVOLFLT_REBUILD_RUST=0|1]
#
# TELEMETRY=yes records what became of tags (docs/telemetry.md); without it that is not compiled in.
# PATCH_LEVEL is a SLES service pack. The KDIR tells it; a wrong one is refused.
# PLATFORM=rfl needs a KDIR with Rust metadata. PLATFORM=cglue, the default, links one Rust object for all kernels:
# from source where rustc and its source are there, and else the prebuilt involflt_core.o_shipped.
# INVOLFLT_REBUILD_RUST=1 insists on the source, 0 on the prebuilt object.
# CC and KERNELRELEASE go to the kernel's makefiles where they are given.
PLATFORM ?= cglue
core_name := involflt_core$(if $(filter yes,$(TELEMETRY)),_telemetry)
refuse = $(error involflt: error: $(1))

ifneq ($(MAKECMDGOALS),clean)
ifeq ($(KDIR),)
$(call refuse,KDIR is not set: say KDIR=/lib/modules/$$(uname -r)/build)
endif
ifeq ($(wildcard $(KDIR)/Makefile),)
$(call refuse,$(KDIR) has no kernel headers: install those of this kernel)
endif
ifeq ($(wildcard $(KDIR)/include/config/auto.conf),)
$(call refuse,$(KDIR) is not configured: it has no include/config/auto.conf)
endif
include $(KDIR)/include/config/auto.conf
include checks.mak
endif

probes := $(filter-out together,$(sort $(basename $(notdir $(wildcard $(CURDIR)/probes/*.c)))))
kbuild := $(MAKE) -C $(KDIR) $(if $(filter command% env%,$(origin CC)),CC='$(strip $(CC))') $(if $(KERNELRELEASE),KERNELRELEASE=$(KERNELRELEASE))
kbuild += PLATFORM=$(PLATFORM) INVOLFLT_CORE=$(core) INVOLFLT_TELEMETRY=$(filter yes,$(TELEMETRY))

.PHONY: all probe clean
all: probe
	$(kbuild) M=$(CURDIR) modules

# Most probes fail on any one kernel: that is what they are for. Two controls tell a missing feature from a broken tool chain.
probe: $(core)
	+@sh probe.sh "$(kbuild)" $(probes) > glue/probed.h.new
	@mv glue/probed.h.new glue/probed.h
	@echo "  PROBES  $$(sed -n 's/^#define INV_HAVE_//p' glue/probed.h | tr 'A-Z\n' 'a-z ')"

# A damaged object would build, and fail in the kernel.
.PHONY: $(core_name).o_shipped
$(core_name).o_shipped:
	@test ! -e $@.sha256 || sha256sum --check --status $@.sha256 || { \
		echo "involflt: error: $(CURDIR)/$@ is not the one that was shipped: install the package again" >&2; exit 1; }

# The compiler's version is in the object itself.
$(core_name).o_rebuilt: core-object.sh glue/exports $(shell find src -name '*.rs')
	TELEMETRY=$(TELEMETRY) sh core-object.sh core-object
	mv core-object/involflt_core.o_shipped $@
	rm -r core-object
	@test ! -e $(core_name).o_shipped || if cmp -s $@ $(core_name).o_shipped; then \
		echo "involflt: the rebuilt Rust object is the shipped one, byte for byte"; \
	else \
		echo "involflt: the rebuilt Rust object differs from the shipped one, which was made by $$( \
			readelf -p .comment $(core_name).o_shipped | sed -n 's/.*\(rustc version [^)]*)\).*/\1/p' | head -n 1)"; \
	fi

clean:
	rm -rf core-object *.o *.ko *.mod *.mod.c .*.cmd glue/*.o glue/.*.cmd src/*.o src/.*.cmd
	rm -f involflt_core.o_rebuilt involflt_core_telemetry.o_rebuilt Module.symvers modules.order .module-common.o
	rm -f glue/probed.h glue/probed.h.new probes/probes.log probes/together.c
