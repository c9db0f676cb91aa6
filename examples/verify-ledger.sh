#!/bin/sh
# Verifies the chain of a Liaison ledger with sha256sum and common tools alone, without Liaison: for auditors.
#
#   sh examples/verify-ledger.sh data/ledger
#
# Each line of log/*.ndjson is one entry. Its last member, "hash", is the SHA-256 of everything before `,"hash":"…"}`; the
# member before that, "prev", is the hash of the line before (64 zeros in the first). The bodies that an entry names stand
# under their hash in bodies/. Prints the number of entries and the hash of the last one, which is worth keeping elsewhere;
# exits 1 at the first entry that does not fit. What a crash left unconfirmed at the very end (a torn line, half a proposal,
# a body that the disk never got) belongs to nothing: it is named, and cut by the next start of Liaison.
set -eu
ledger=${1:?usage: verify-ledger.sh LEDGER-FOLDER}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# NULs are what a disk shows where it never wrote; no entry holds any, and a shell cannot read them.
cat "$ledger"/log/*.ndjson | tr '\000' '\001' > "$work/log"

# The bodies, record by record: `sha256-<hex> <length>`, newline, so many bytes, newline. Erased ones keep their name.
: > "$work/bodies"
damaged=no
for file in "$ledger"/bodies/*.bodies; do
    [ -f "$file" ] || continue
    at=0
    size=$(wc -c < "$file")
    while [ "$at" -lt "$size" ]; do
        tail -c "+$((at + 1))" "$file" | head -c 96 | tr '\000' '\001' > "$work/header"
        header=$(head -n 1 "$work/header")
        name=${header%% *} length=${header##* }
        hex=${name#*-}
        case $header in
        sha256-*" "[0-9]* | erased-*" "[0-9]*) fits=yes ;;
        *) fits=no length=0 ;;
        esac
        case $length in '' | *[!0-9]*) fits=no length=0 ;; esac
        tail -c "+$((at + ${#header} + 2))" "$file" | head -c "$((length + 1))" > "$work/body"
        if [ "$fits" = yes ]; then
            made=$(head -c "$length" "$work/body" | sha256sum)
            case $name in erased-*) ;; *) [ "${made%% *}" = "$hex" ] || fits=no ;; esac
            [ "$(tail -c 1 "$work/body" | wc -l)" -eq 1 ] || fits=no
            [ "$(wc -c < "$work/body")" -gt "$length" ] || fits=no
        fi
        if [ "$fits" = no ]; then
            # A record without its end, or one with a hole, is what a power cut leaves; anything else is damage.
            holes=$(tr -cd '\000' < "$work/body" | wc -c)
            if [ "$holes" -eq 0 ] && ! grep -q "$(printf '\001')" "$work/header" &&
                [ "$((at + ${#header} + 2 + length))" -le "$((size - 1))" ]; then damaged=yes; fi
            break
        fi
        echo "$hex" >> "$work/bodies"
        at=$((at + ${#header} + 2 + length))
    done
done
{ ls "$ledger"/bodies/files/*/ 2>/dev/null || :; } | sed 's/\.erased$//' | grep -x '[0-9a-f]\{64\}' >> "$work/bodies" || :
sort -u "$work/bodies" -o "$work/bodies"
confirmed=$(sed -n 's/^{"seq":\([0-9]*\),.*/\1/p' "$ledger/checkpoint.json" 2>/dev/null || :)
confirmed=${confirmed:-0}

member() { # of a line, a number
    number=${1#*"\"$2\":"}
    [ "$number" = "$1" ] && number=0
    number=${number%%[!0-9]*}
}

# The first entry of the last group that is not whole: before it is what counts.
prev=0000000000000000000000000000000000000000000000000000000000000000
seq=0 open=0 group=0 torn='' missing=0
proposal_seq=0 proposal_prev=$prev
while IFS= read -r line || { [ -n "$line" ] && torn="$line"; }; do
    [ -n "$torn" ] && break
    text=${line%,\"hash\":\"*}
    stated=${line##*,\"hash\":\"}
    stated=${stated%\"\}}
    made=$(printf %s "$text" | sha256sum)
    made=${made%% *}
    fits=yes
    case $text in
    "{\"seq\":$((seq + 1)),"*",\"prev\":\"$prev\"") ;;
    *) fits="entry $((seq + 1)) does not follow from the one before" ;;
    esac
    [ "$made" = "$stated" ] || fits="entry $((seq + 1)) is not what was written"
    if [ "$fits" != yes ]; then
        torn=$line
        break
    fi
    member "$text" group
    if [ "$number" != "$group" ]; then
        [ "$missing" = 0 ] || { echo "entry $missing has lost its body" && exit 1; }
        group=$number
    fi
    if [ "$open" = 0 ]; then
        [ "$missing" = 0 ] && proposal_seq=$seq && proposal_prev=$prev
    fi
    head=${text%%,\"cause\":*}
    member "$head" more
    open=$number
    seq=$((seq + 1))
    prev=$made
    if [ "$missing" = 0 ]; then
        printf '%s' "$text" | grep -o '"\(body\|detail\)":"sha256-[0-9a-f]\{64\}"' | sed 's/.*sha256-//;s/"$//' |
            sort -u > "$work/named" || :
        if [ -s "$work/named" ] && grep -qvxFf "$work/bodies" "$work/named"; then missing=$seq; fi
    fi
done < "$work/log"

if [ -n "$torn" ]; then
    bad=$((seq + 1))
    # An entry of a later group proves that what stands before it was whole once.
    tail -n "+$((bad + 1))" "$work/log" > "$work/rest"
    while IFS= read -r line; do
        made=$(printf %s "${line%,\"hash\":\"*}" | sha256sum)
        stated=${line##*,\"hash\":\"}
        [ "${made%% *}" = "${stated%\"\}}" ] || continue
        member "$line" group
        [ "$number" -le "$bad" ] || { echo "entry $bad is not what was written" && exit 1; }
    done < "$work/rest"
    hole=$(printf '\001')
    ended=$(tail -c 1 "$work/log" | wc -l)
    case $torn in
    *"$hole"*) ;;
    *) if [ "$ended" -ne 0 ] || [ -s "$work/rest" ]; then echo "entry $bad is not what was written" && exit 1; fi ;;
    esac
fi
if [ "$missing" != 0 ] && [ "$damaged" = yes ]; then
    echo "entry $missing has lost its body"
    exit 1
fi
if [ "$open" != 0 ] || [ "$missing" != 0 ]; then
    seq=$proposal_seq prev=$proposal_prev torn=${torn:-yes}
fi
[ "$seq" -ge "$confirmed" ] || { echo "entry $((seq + 1)) is not there, and the last checkpoint names entry $confirmed" && exit 1; }
echo "$seq entries, head $prev"
[ -z "$torn" ] || echo "what follows was never confirmed; the next start cuts it"
