#!/bin/sh
# Verifies the chain of a Liaison ledger with sha256sum alone, without Liaison: for auditors.
#
#   sh examples/verify-ledger.sh data/ledger
#
# Each line of log/*.ndjson is one entry. Its last member, "hash", is the SHA-256 of everything before `,"hash":"…"}`; the
# member before that, "prev", is the hash of the line before (64 zeros in the first). Prints the number of entries and
# the hash of the last one, which is worth keeping elsewhere; exits 1 at the first entry that does not fit.
set -eu
prev=0000000000000000000000000000000000000000000000000000000000000000
seq=0
cat "${1:?usage: verify-ledger.sh LEDGER-FOLDER}"/log/*.ndjson > "${TMPDIR:-/tmp}/ledger.$$"
trap 'rm -f "${TMPDIR:-/tmp}/ledger.$$"' EXIT
while IFS= read -r line; do
    seq=$((seq + 1))
    text=${line%,\"hash\":\"*}
    stated=${line##*,\"hash\":\"}
    stated=${stated%\"\}}
    made=$(printf %s "$text" | sha256sum)
    made=${made%% *}
    case $text in
    "{\"seq\":$seq,"*",\"prev\":\"$prev\"") ;;
    *) echo "entry $seq does not follow from the one before" && exit 1 ;;
    esac
    [ "$made" = "$stated" ] || { echo "entry $seq is not what was written" && exit 1; }
    prev=$made
done < "${TMPDIR:-/tmp}/ledger.$$"
echo "$seq entries, head $prev"
