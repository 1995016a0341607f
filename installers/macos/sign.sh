#!/usr/bin/env bash
# On a Mac: sign LTX Studio.app, notarise it, and make the zip and the disk image again. Without a certificate in the
# environment the signature is ad hoc (which Apple silicon demands of programs, and Gatekeeper does not trust), and without
# an account nothing is notarised. usage: sign.sh FOLDER-WITH-PACKAGES
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
packages=$(cd "$1" && pwd)
work=$(mktemp -d)
zip=$(ls "$packages"/*-macos-arm64.zip)
ditto -x -k "$zip" "$work"
app="$work/LTX Studio.app"
identity="-"
options=()

if [ -n "${CERTIFICATE:-}" ]; then
    keychain="$work/signing.keychain-db"
    key=$(uuidgen)
    base64 --decode <<<"$CERTIFICATE" >"$work/certificate.p12"
    security create-keychain -p "$key" "$keychain"
    security set-keychain-settings -lut 3600 "$keychain"
    security unlock-keychain -p "$key" "$keychain"
    security import "$work/certificate.p12" -k "$keychain" -P "${CERTIFICATE_PASSWORD:-}" -T /usr/bin/codesign
    security set-key-partition-list -S apple-tool:,apple: -k "$key" "$keychain" >/dev/null
    security list-keychains -d user -s "$keychain" login.keychain-db
    rm "$work/certificate.p12"
    identity="$IDENTITY"
    options=(--timestamp --options runtime --entitlements "$here/entitlements.plist")
else
    echo "No APPLE_CERTIFICATE secret: the signature is ad hoc."
fi

# From the inside out: libraries and programs, then the bundle.
find "$app/Contents/Resources" -type f | while read -r file; do
    if file -b "$file" | grep -q Mach-O; then
        codesign --force --sign "$identity" ${options[@]+"${options[@]}"} "$file"
    fi
done
codesign --force --sign "$identity" ${options[@]+"${options[@]}"} "$app"
codesign --verify --deep --strict --verbose=2 "$app"

if [ -n "${CERTIFICATE:-}" ] && [ -n "${APPLE_ID:-}" ]; then
    ditto -c -k --keepParent "$app" "$work/notarise.zip"
    xcrun notarytool submit "$work/notarise.zip" --wait \
        --apple-id "$APPLE_ID" --team-id "$APPLE_TEAM" --password "$APPLE_PASSWORD"
    xcrun stapler staple "$app"
else
    echo "Not notarised: that needs a certificate and an account."
fi

rm "$zip"
ditto -c -k --keepParent "$app" "$zip"
dmg=$(ls "$packages"/*-macos-arm64.dmg)
mkdir "$work/image"
ditto "$app" "$work/image/LTX Studio.app"
ln -s /Applications "$work/image/Applications"
rm "$dmg"
hdiutil create -volname "LTX Studio" -srcfolder "$work/image" -fs HFS+ -format UDZO -ov "$dmg"
if [ -n "${CERTIFICATE:-}" ]; then
    codesign --force --sign "$identity" --timestamp "$dmg"
fi
