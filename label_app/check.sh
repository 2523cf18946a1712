#!/usr/bin/env bash
# MONAI Label, served and trained for real: label_app/check.sh [ENVIRONMENT]. The environment is made in that folder and
# used again, or without one in a temporary folder. DAM_DATA names the folder of the real data.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export DAM_DATA="${DAM_DATA:-$PWD/../shared/data}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [[ ! -d "$DAM_DATA/Task04_Hippocampus" ]]; then
    echo "error: no folder $DAM_DATA/Task04_Hippocampus: name its folder with DAM_DATA" >&2
    exit 1
fi

environment=${1:-}
if [[ -z "$environment" ]]; then
    environment=$(mktemp -d)
    trap 'rm -rf "$environment"' EXIT
fi
bin=$environment/bin
if ! "$bin/python" -c 'import monailabel.app' > /dev/null 2>&1; then
    python3.11 -m venv "$environment"
    "$bin/pip" install --quiet -c label_app/requirements.txt torch torchvision
    "$bin/pip" install --quiet --no-deps -r label_app/requirements.txt -e .
    echo "installed in $SECONDS s, $(du -sh "$environment" | cut -f1)"
fi
"$bin/python" -m pytest -s -p no:cacheprovider -o addopts= -o pythonpath=label_app \
    label_app/test_server.py label_app/test_login.py label_app/test_attacks.py
