#!/usr/bin/env bash
# Installs the Debian programs that the tests use as peers and judges. Does nothing where they are there already
# or where it is not run as root: a test whose peer is missing then says so (and fails when CI is set).
set -euo pipefail
packages=(dcmtk dicom3tools orthanc orthanc-dicomweb orthanc-webviewer pixelmed-apps chromium postgresql)
missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed (needs root on Debian): ${missing[*]}" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends "${missing[@]}"
# Debian starts an archive of its own on installation; the tests start theirs on other ports.
service orthanc stop >/dev/null 2>&1 || true
