# SPDX-License-Identifier: GPL-2.0-only
# Builds involflt.ko for one KDIR:
#   make -f involflt.mak KDIR=/lib/modules/$(uname -r)/build PLATFORM=cglue [CC=gcc-12] [KERNELRELEASE=...]
# PLATFORM=cglue needs involflt_core.o_shipped here; PLATFORM=rfl needs a KDIR with Rust metadata.
ifeq ($(KDIR),)
$(error KDIR is not set: say KDIR=/lib/modules/$$(uname -r)/build)
endif
PLATFORM ?= cglue

probes := $(sort $(basename $(notdir $(wildcard $(CURDIR)/probes/*.c))))
kbuild := $(MAKE) -C $(KDIR) $(if $(filter command% env%,$(origin CC)),CC=$(CC)) $(if $(KERNELRELEASE),KERNELRELEASE=$(KERNELRELEASE))
kbuild += PLATFORM=$(PLATFORM)

.PHONY: all probe clean
all: probe
	$(kbuild) M=$(CURDIR) modules

# Most probes fail on any one kernel: that is what they are for. The two controls
# tell a missing feature from a broken tool chain.
probe:
	@$(kbuild) M=$(CURDIR)/probes -k -s $(addsuffix .o,$(probes)) > probes/probes.log 2>&1 || true
	@test -e probes/control_present.o || { \
		echo "involflt: error: the control probe does not compile in $(KDIR)" >&2; \
		cat probes/probes.log >&2; exit 1; }
	@test ! -e probes/control_absent.o || { \
		echo "involflt: error: the probe that must fail compiles in $(KDIR)" >&2; exit 1; }
	@{ echo "/* What the probes found in this KDIR; made by involflt.mak. */"; \
	  for probe in $(filter-out control_%,$(probes)); do \
		test ! -e probes/$$probe.o || echo "#define INV_HAVE_$$probe" | tr a-z A-Z | sed 's/^#DEFINE/#define/'; \
	  done; } > glue/probed.h
	@rm -f $(foreach probe,$(probes),probes/$(probe).o probes/.$(probe).o.cmd)

clean:
	$(kbuild) M=$(CURDIR) clean
	rm -f glue/probed.h probes/probes.log
