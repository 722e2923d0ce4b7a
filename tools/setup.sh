#!/usr/bin/env bash
# Make .venv what requirements.lock says, and install the servers that tests start (Debian packages) where that is allowed.
#
# A stamp inside .venv makes a second run instant. A run that was interrupted leaves a mark instead, and the next one starts from
# an empty .venv. Outside .venv only Debian packages are touched, and SYNAPSENET_DEBIAN_PACKAGES=no leaves those alone too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly STAMP=$VENV/.ready
readonly MARK=$VENV/.installing
readonly LOCK=.setup.lock
readonly POLICY=/usr/sbin/policy-rc.d
readonly SERVERS=(etcd-server etcd-client redis-server postgresql iproute2) # the last one makes hosts for them

log=
policy_is_ours=no

main() {
  if is_ready; then return; fi
  exec 9>"$LOCK"
  flock --timeout 1800 9 || refuse "another set-up has been running for half an hour: end it first"
  if is_ready; then return; fi
  trap clean_up EXIT
  log=$(mktemp)
  install_python_packages
  install_servers
  wanted >"$STAMP"
  say "done"
}

say() { echo "setup: $*" >&2; }

refuse() {
  say "$*"
  exit 1
}

clean_up() {
  rm --force "$log"
  if [[ $policy_is_ours == yes ]]; then as_root rm --force "$POLICY"; fi
}

wanted() { cat requirements.lock pyproject.toml tools/setup.sh | sha256sum; }

is_ready() { [[ -x $VENV/bin/python && -f $STAMP && ! -e $MARK && $(<"$STAMP") == "$(wanted)" ]]; }

# --- Python -----------------------------------------------------------------------------------------------------------------

install_python_packages() {
  if [[ -e $MARK ]] || ! is_right_python "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version &>/dev/null; then
    create_venv
  fi
  touch "$MARK"
  say "installing what requirements.lock names"
  local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet --no-input install)
  # Nothing is resolved anew: a resolver that meets `coverage[toml]` may want a release newer than the one that is locked.
  "${pip[@]}" --require-hashes --no-deps --requirement requirements.lock
  "${pip[@]}" --no-build-isolation --no-deps --editable .
  "$VENV/bin/python" -m pip --disable-pip-version-check check >"$log" || refuse "requirements.lock is not whole: $(reason)"
  rm "$MARK"
}

create_venv() {
  local python
  python=$(find_python) || python=
  if [[ -z $python ]] || ! has_venv "$python"; then
    if may_install; then
      say "installing python3-venv"
      install_debian python3 python3-venv || say "could not install python3-venv: $(reason)"
      python=$(find_python) || python=
    fi
  fi
  [[ -n $python ]] || refuse "${PYTHON:-python3} is no Python 3.11: install one, or name one: PYTHON=/path/to/python3.11 make setup"
  has_venv "$python" || refuse "$python cannot create environments: apt-get install python3-venv"
  say "creating $VENV"
  "$python" -m venv --clear "$VENV"
}

# The lock file is made for Python 3.11.
find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3 /usr/bin/python3}; do
    if is_right_python "$name"; then
      echo "$name"
      return
    fi
  done
  return 1
}

is_right_python() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' &>/dev/null; }

has_venv() { "$1" -c 'import ensurepip, venv' &>/dev/null; }

# --- Debian packages --------------------------------------------------------------------------------------------------------

install_servers() {
  local packages
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian: etcd, Redis and PostgreSQL, which the cluster tests start, are yours to install"
    return
  fi
  mapfile -t packages < <(missing "${SERVERS[@]}")
  if [[ ${#packages[@]} -eq 0 ]]; then return; fi
  if ! may_install; then
    say "not installed, for want of rights: ${packages[*]} (apt-get install them for the cluster tests)"
    return
  fi
  say "installing ${packages[*]}"
  install_debian "${packages[@]}" || say "could not install ${packages[*]}: $(reason)"
}

missing() {
  local name
  for name in "$@"; do
    if [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null) != installed ]]; then echo "$name"; fi
  done
}

may_install() {
  [[ ${SYNAPSENET_DEBIAN_PACKAGES:-yes} != no ]] && command -v apt-get >/dev/null && as_root true &>/dev/null
}

# Fails where a password would be needed.
as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo --non-interactive "$@"; fi; }

# The installation starts no service: Debian asks this policy first.
install_debian() {
  if [[ ! -e $POLICY ]]; then
    policy_is_ours=yes
    printf '#!/bin/sh\n# SynapseNet is being set up: no service starts by itself.\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
  fi
  apt_get update && apt_get install "$@"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive timeout 600 \
    apt-get --quiet=2 --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>"$log" 9>&-
}

reason() { grep --max-count=1 '^E:' "$log" || tail --lines=1 "$log"; }

main "$@"
