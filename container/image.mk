# Included by the Makefile at the top: how the image is made.

VERSION := $(shell sed -n 's/__version__ = "\(.*\)"/\1/p' splatlib/_version.py)
IMAGE ?= splatlib:$(VERSION)
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))) no-engine)
# More build arguments, e.g. "--build-arg WEIGHTS=download". Pins come from container/pins.env (container/pin.py);
# UNPINNED=--allow-unpinned builds without.
UNPINNED ?=
IMAGE_ARGS ?=
LOCAL_BASE ?= localhost/splatlib-base:bookworm
LOCAL_IMAGE ?= localhost/splatlib:$(VERSION)-cpu
# Where the kernel gives no namespaces and overlays: buildah inside a container, as in CI.
BUILDAH ?= buildah --storage-driver vfs
LOCAL_ARGS ?= --isolation chroot --network host --format docker

.PHONY: image image-local base-local

image:
	pins=$$(python3 container/pin.py --build-args $(UNPINNED)) && \
	  $(ENGINE) build --file container/Dockerfile --target full --tag $(IMAGE) $$pins $(IMAGE_ARGS) .

base-local:
	$(BUILDAH) inspect --type image $(LOCAL_BASE) >/dev/null 2>&1 || \
	  BUILDAH="$(BUILDAH)" container/base.sh $(LOCAL_BASE)

image-local: base-local
	$(BUILDAH) build $(LOCAL_ARGS) --file container/Dockerfile --target slim --tag $(LOCAL_IMAGE) \
	  --build-arg VARIANT=cpu --build-arg BASE_IMAGE=$(LOCAL_BASE) --build-arg BUILD_IMAGE=$(LOCAL_BASE) $(IMAGE_ARGS) .
