#!/usr/bin/env bash
# In continuous integration: install the .deb, make both stages, generate a clip, open the window, remove everything; then the
# portable archive. usage: smoke.sh FOLDER-WITH-PACKAGES
set -euo pipefail
packages=$(realpath "$1")
work=$(mktemp -d)
export LTX_STUDIO_HOME="$work/home"

try() { # PROGRAM: both stages, a clip, the window
    local program=$1 kit=$2
    python3 -I "$kit/installers/install.py" shell
    python3 -I "$kit/installers/install.py" engine --target linux-cpu
    "$program" doctor
    "$program" generate "a red ball rolls on grass" --seconds 1 -o "$work/clip.mp4" --progress none
    test -s "$work/clip.mp4"
    # Still open after 20 seconds, so ended by us: 124.
    local code=0
    timeout 20 xvfb-run -a "$program" || code=$?
    test "$code" -eq 124
}

sudo apt-get install -y "$packages"/ltx-studio_*_amd64.deb
try ltx-studio /usr/lib/ltx-studio/kit
ltx-studio --uninstall --keep ""
sudo apt-get remove -y ltx-studio
test ! -e /usr/lib/ltx-studio
test ! -e "$LTX_STUDIO_HOME/installation"
rm -f "$work/clip.mp4"

mkdir "$work/a folder"
tar -xzf "$packages"/ltx-studio-*-linux-x86_64.tar.gz -C "$work/a folder" --strip-components 1
try "$work/a folder/ltx-studio" "$work/a folder/kit"
echo "Both packages work."
