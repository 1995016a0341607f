#!/usr/bin/env bash
# In continuous integration, on a Mac: the disk image mounts, the bundle is well-formed, both stages install, a clip comes out,
# the window stays open. usage: smoke.sh FOLDER-WITH-PACKAGES
set -euo pipefail
packages=$(cd "$1" && pwd)
work=$(mktemp -d)
export LTX_STUDIO_HOME="$work/home"

hdiutil attach -readonly -mountpoint "$work/image" "$packages"/*-macos-arm64.dmg
test -d "$work/image/LTX Studio.app"
test -x "$work/image/LTX Studio.app/Contents/MacOS/ltx-studio"
hdiutil detach "$work/image"

ditto -x -k "$packages"/*-macos-arm64.zip "$work"
app="$work/LTX Studio.app"
plutil -lint "$app/Contents/Info.plist"
iconutil --convert iconset --output "$work/icons.iconset" "$app/Contents/Resources/ltx-studio.icns"
codesign --force --deep --sign - "$app"
codesign --verify --deep --strict "$app"

python="$app/Contents/Resources/kit/python/bin/python3.11"
install="$app/Contents/Resources/kit/installers/install.py"
export PYTHONDONTWRITEBYTECODE=1
"$python" -I "$install" shell
"$python" -I "$install" engine
"$app/Contents/MacOS/ltx-studio" doctor
"$app/Contents/MacOS/ltx-studio" generate "a red ball rolls on grass" --seconds 1 -o "$work/clip.mp4" --progress none
test -s "$work/clip.mp4"
codesign --verify --deep --strict "$app" # nothing was written into the bundle

"$app/Contents/MacOS/ltx-studio" &
window=$!
sleep 20
kill -0 "$window"
kill "$window"
"$app/Contents/MacOS/ltx-studio" --uninstall --keep ""
test ! -e "$LTX_STUDIO_HOME/installation"
echo "The packages work."
