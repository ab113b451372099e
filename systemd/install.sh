#!/usr/bin/env bash
# Install hydroear from this clone on a machine with systemd, where there is no Debian package for it; or bring what was
# installed so up to date. Needs the network, for pip. May be run again at any time, also after it was interrupted.
#
# Usage: sudo systemd/install.sh, or with another Python: sudo PYTHON=python3.12 systemd/install.sh
set -euo pipefail

prefix=/opt/hydroear
units=/etc/systemd/system
config=/etc/hydroear/config.yaml
python=${PYTHON:-python3}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "only root can install a service: run it with sudo"
command -v systemctl >/dev/null || fail "there is no systemd here, and the service is one of systemd's"
if dpkg-query --show --showformat '${db:Status-Status}' hydroear 2>/dev/null | grep -qx installed; then
    fail "the Debian package hydroear is installed: upgrade that, or remove it first"
fi
command -v "$python" >/dev/null || fail "there is no $python: install Python 3.11, 3.12 or 3.13, or name it: PYTHON=…"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$python" --version) cannot run it: install Python 3.11, 3.12 or 3.13, and name it: PYTHON=…"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python makes no virtual environments: install its venv package, such as python3-venv"

echo "Installing the program in $prefix"
version='import sys; print("%d.%d" % sys.version_info[:2])'
if [ -x "$prefix/bin/python3" ] && [ "$("$prefix/bin/python3" -c "$version")" = "$("$python" -c "$version")" ]; then
    "$python" -m venv "$prefix"
else
    "$python" -m venv --clear "$prefix"
fi
"$prefix/bin/pip" install --quiet --disable-pip-version-check --constraint "$source/constraints.txt" \
    "$source[bridge,ota]"
for program in hydroear hydroear-bridge; do
    ln -sfn "$prefix/bin/$program" "/usr/local/bin/$program"
done

echo "Installing the service"
install -m 644 "$source"/systemd/*.service "$source"/systemd/*.timer "$units"
install -D -m 644 "$source/systemd/hydroear.catalog" /etc/systemd/catalog/hydroear.catalog
journalctl --update-catalog
[ -e "$config" ] || install -D -m 644 "$source/systemd/config.example.yaml" "$config"
systemctl daemon-reload
systemctl --quiet enable hydroear.service hydroear-selftest.timer

if ! ldconfig -p | grep -q libportaudio.so.2; then
    echo "Sound cards cannot be heard yet: install PortAudio 2 (libportaudio2, portaudio)." >&2
fi
if cmp -s "$config" "$source/systemd/config.example.yaml"; then
    cat <<END
hydroear is installed, and starts with the next start of this machine. Before that:
  put a model bundle at /etc/hydroear/model.hydroear,
  edit $config ("hydroear devices" lists the sensors),
  see that "hydroear selftest -c $config" passes,
  and give: systemctl start hydroear
END
elif [ -d /run/systemd/system ]; then
    systemctl restart hydroear.service hydroear-selftest.timer
    echo "hydroear runs"
fi
