#!/usr/bin/env bash
# Remove what install.sh has installed. With --purge also the configuration, the secrets and all that the unit has
# learned and has not sent yet.
#
# Usage: sudo systemd/uninstall.sh [--purge]
set -euo pipefail

fail() {
    echo "uninstall.sh: $1" >&2
    exit 1
}

case "${1:-}" in
    '' | --purge) ;;
    *) fail "unknown option $1: there is only --purge" ;;
esac
[ "$(id -u)" = 0 ] || fail "only root can remove a service: run it with sudo"
if dpkg-query --show --showformat '${db:Status-Status}' hydroear 2>/dev/null | grep -qx installed; then
    fail "the Debian package hydroear is installed: give apt remove hydroear, or apt purge hydroear"
fi

for unit in hydroear-selftest.timer hydroear-selftest.service hydroear.service; do
    [ ! -e "/etc/systemd/system/$unit" ] || systemctl --quiet disable --now "$unit"
    rm -f "/etc/systemd/system/$unit"
done
rm -f /etc/systemd/catalog/hydroear.catalog /usr/local/bin/hydroear /usr/local/bin/hydroear-bridge
rm -rf /opt/hydroear
systemctl daemon-reload
journalctl --update-catalog

if [ "${1:-}" = --purge ]; then
    rm -rf /var/lib/hydroear /var/lib/private/hydroear /etc/hydroear
    rm -f /etc/credstore/hydroear.*
    echo "hydroear is removed, with its configuration and its state"
else
    echo "hydroear is removed; its configuration is in /etc/hydroear, its state in /var/lib/private/hydroear"
fi
