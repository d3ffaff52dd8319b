#!/bin/sh
# Makes a base image without a registry: Debian by debootstrap, imported by buildah. Needs root.
#   container/base.sh NAME[:TAG] [SUITE]
set -eu
name=$1 suite=${2:-bookworm} buildah=${BUILDAH:-buildah}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root/rootfs"
rm -rf "$root"/rootfs/var/cache/apt/archives/*.deb "$root"/rootfs/var/lib/apt/lists/*
container=$($buildah from scratch)
$buildah add -q "$container" "$root/rootfs" /
$buildah config --env LANG=C.UTF-8 "$container"
$buildah commit -q --rm "$container" "$name"
