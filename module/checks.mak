# SPDX-License-Identifier: GPL-2.0-only
# What a build can be told in one line before it begins. involflt.mak has read the kernel's configuration.

ifneq ($(CONFIG_X86_64),y)
$(call refuse,this kernel lacks CONFIG_X86_64: involflt is for x86-64)
endif
ifneq ($(CONFIG_MODULES),y)
$(call refuse,this kernel lacks CONFIG_MODULES)
endif
ifneq ($(CONFIG_BLOCK),y)
$(call refuse,this kernel lacks CONFIG_BLOCK)
endif

ifneq ($(filter-out yes no,$(TELEMETRY)),)
$(call refuse,TELEMETRY=$(TELEMETRY) is neither yes nor no)
endif

ifneq ($(CONFIG_SUSE_PATCHLEVEL),)
ifneq ($(filter-out $(CONFIG_SUSE_PATCHLEVEL),$(PATCH_LEVEL)),)
$(call refuse,PATCH_LEVEL=$(PATCH_LEVEL) is wrong: $(KDIR) is of SLES $(CONFIG_SUSE_VERSION) service pack $(CONFIG_SUSE_PATCHLEVEL): say PATCH_LEVEL=$(CONFIG_SUSE_PATCHLEVEL))
endif
else ifneq ($(PATCH_LEVEL),)
ifneq ($(CONFIG_SUSE_KERNEL),y)
$(call refuse,PATCH_LEVEL=$(PATCH_LEVEL) is for SLES and $(KDIR) is not of a SLES kernel: leave it out)
endif
endif

core :=
ifeq ($(PLATFORM),cglue)
# The Rust object is compiled for the kernel's own thunks, and has no type hashes. Linux 6.9 put MITIGATION_ in front
# of the mitigations' names.
ifneq ($(or $(CONFIG_RETPOLINE),$(CONFIG_MITIGATION_RETPOLINE)),y)
$(call refuse,this kernel lacks CONFIG_MITIGATION_RETPOLINE (CONFIG_RETPOLINE before Linux 6.9))
endif
ifneq ($(or $(CONFIG_CFI_CLANG),$(CONFIG_CFI)),)
$(call refuse,this kernel has CONFIG_CFI: the Rust object would be stopped at its first call)
endif

# Empty where the object can be made of its source, or else why not.
cannot_rebuild = $(shell sh core-object.sh --check 2>&1)
ifeq ($(INVOLFLT_REBUILD_RUST),1)
$(if $(cannot_rebuild),$(call refuse,$(cannot_rebuild)))
core := $(core_name).o_rebuilt
else ifneq ($(INVOLFLT_REBUILD_RUST),0)
core := $(if $(cannot_rebuild),,$(core_name).o_rebuilt)
endif
ifeq ($(core),)
core := $(core_name).o_shipped
ifeq ($(wildcard $(core)),)
$(call refuse,$(core) is not here: $(or $(cannot_rebuild),leave INVOLFLT_REBUILD_RUST=0 out); or take the source tarball of the release which has it)
endif
endif
endif
