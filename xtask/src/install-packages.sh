# Installs packages of Debian and leaves their services stopped. The arguments are the path of policy-rc.d, and the
# packages.
#
# A shell does this because its trap also runs when somebody presses Ctrl-C in the middle: a policy-rc.d that is
# left behind would keep every package that is installed later from starting its service.
set -eu
policy=$1
shift

before=
if [ -e "$policy" ]; then
    before=$policy.before-tidings
    mv "$policy" "$before"
fi
restore() {
    rm -f "$policy"
    if [ -n "$before" ]; then mv "$before" "$policy"; fi
}
trap restore EXIT
trap 'exit 130' HUP INT TERM

# 101 is "forbidden by policy" to invoke-rc.d.
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --option Acquire::Retries=3 update
apt-get --quiet --option Acquire::Retries=3 --option DPkg::Lock::Timeout=120 \
    install --yes --no-install-recommends "$@"
