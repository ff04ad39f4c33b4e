#!/usr/bin/env bash
# Writes requirements.lock: every package of the container image, with the hashes of its files. Needs pip-tools.
set -euo pipefail
cd "$(dirname "$0")/.."
pip-compile --quiet --allow-unsafe --build-deps-for wheel --extra postgresql --generate-hashes --strip-extras \
    --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml
