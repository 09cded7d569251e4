# shellcheck shell=bash
# What the scripts share. Source it from a script in this folder, after `set -euo pipefail`:
# it changes to the root of the checkout, so that paths need no prefix.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv

# Say what is wrong and what to do about it, then stop.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    shift
    (($# == 0)) || printf '    %s\n' "$@" >&2
    exit 1
}

# Print the comment block at the top of the calling script.
usage() { sed -n '2,/^$/ s/^# \{0,1\}//p' "$0"; }

# --help anywhere before `--` prints the usage; the rest of the arguments is the script's business.
help_if_asked() {
    local argument
    for argument in "$@"; do
        case $argument in
        --) return ;;
        -h | --help) usage && exit 0 ;;
        esac
    done
}

# Run "$@" and print its name first, and its time after it.
step() {
    local title=$1 started=$SECONDS
    shift
    printf '== %s\n' "$title"
    "$@" || { printf '== %s: FAILED\n' "$title" >&2 && return 1; }
    printf '== %s: ok (%ss)\n' "$title" "$((SECONDS - started))"
}
