#!/usr/bin/env bash
# Install the Debian packages whose real programs the tests run: a broker, sound servers, systemd, a C compiler;
# or those that are named as arguments.
# Does nothing when all are there; otherwise needs root, or sudo that asks for no password.
set -euo pipefail

packages=(
    alsa-utils dbus gcc libasound2-plugins libc6-dev libportaudio2 make mosquitto mosquitto-clients
    pulseaudio pulseaudio-utils socat systemd systemd-container
)
[ $# -eq 0 ] || packages=("$@")

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These programs are needed, by their Debian names: ${missing[*]}." >&2
    echo "This is no Debian system: run this on one, e.g. in a container." >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    echo "These Debian packages are needed: ${missing[*]}." >&2
    echo "Neither root nor sudo without a password is at hand, so install them first:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

apt() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@" </dev/null
}
install() {
    apt -y --no-install-recommends install "${missing[@]}"
}

echo "Installing the Debian packages ${missing[*]}"
install || { apt update && install; } # the package lists may be absent or too old
