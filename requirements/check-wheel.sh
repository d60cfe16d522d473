#!/usr/bin/env bash
# Builds the wheel from two copies of the source, in other folders, at other times, under another umask, and compares
# the bytes; then looks for paths of this machine in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
epoch=${EPOCH:?}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# What is in the repository or would be: no caches, no runs.
mkdir "$place/source"
git ls-files -z --cached --others --exclude-standard \
    | tar --create --null --files-from - --ignore-failed-read 2>/dev/null | tar --extract --directory "$place/source"

build() {
    mkdir -p "$(dirname "$2")"
    (umask "$1" && cp -r "$place/source" "$2" && cd "$2" \
        && SOURCE_DATE_EPOCH=$epoch "$python" -m pip wheel --quiet --no-deps --wheel-dir "$2/dist" .)
}
build 022 "$place/a"
sleep 2
build 077 "$place/much/longer/name"
one=$(sha256sum <"$place"/a/dist/*.whl)
other=$(sha256sum <"$place"/much/longer/name/dist/*.whl)
if [ "$one" != "$other" ]; then
    echo "Two builds of the wheel differ: ${one%% *} and ${other%% *}."
    exit 1
fi
if unzip -p "$place"/a/dist/*.whl '*.py' '*/RECORD' '*/METADATA' | grep -aqF -e "$place" -e "$PWD"; then
    echo "The wheel holds a path of the machine that it was built on."
    exit 1
fi
echo "Two builds of the wheel are the same: sha256 ${one%% *}"
