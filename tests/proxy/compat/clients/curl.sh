#!/usr/bin/env bash
# curl. Usage: curl.sh ORIGIN 1.1|2 < steps; see ../script.rs for both formats.
set -uo pipefail
origin="$1"
case "$2" in
    1.1) speak=--http1.1 ;;
    *) if [[ $origin == https:* ]]; then speak=--http2; else speak=--http2-prior-knowledge; fi ;;
esac
dir="$(mktemp -d)"
trap 'rm -rf "$dir"' EXIT
token="" id="" created_at=""

fill() {
    local text="$1"
    text="${text//'{id}'/$id}"
    printf '%s' "${text//'{created_at}'/$created_at}"
}

member() {
    sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/body"
}

shown() {
    tr -d '\r' <"$dir/head" | awk '
        /^HTTP\// { delete found; next }
        { at = index($0, ":"); found[tolower(substr($0, 1, at - 1))] = substr($0, at + 2) }
        END {
            count = split("content-type content-length content-encoding retry-after www-authenticate", names, " ")
            for (n = 1; n <= count; n++) if (names[n] in found) { printf "%s%s: %s", sep, names[n], found[names[n]]; sep = "|" }
        }'
}

# Sends once and prints the answer; the rest of the arguments are curl's.
ask() {
    local name="$1" url="$2" wrote
    shift 2
    : >"$dir/body"
    if ! wrote="$(curl -sS -m 30 "$speak" --compressed -D "$dir/head" -o "$dir/body" -w '%{http_code}\t%{http_version}' "$@" "$url" 2>"$dir/error")"; then
        printf '%s\terror\t-\t-\t%s\n' "$name" "$(base64 -w0 <"$dir/error")"
        return 1
    fi
    # With -I the head is also the body.
    case " $* " in *" -I "*) : >"$dir/body" ;; esac
    answer "$name" "$wrote"
}

# Prints the answer in the files.
answer() {
    local content headers size
    size="$(stat -c %s "$dir/body")"
    if [ "$size" -gt 16384 ]; then
        content="sha256:$size:$(sha256sum <"$dir/body" | cut -d' ' -f1)"
    else
        content="$(base64 -w0 <"$dir/body")"
    fi
    headers="$(shown)"
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "${headers:--}" "${content:--}"
}

# The arguments of a body, into `arguments`.
body_of() {
    local kind="${1%%:*}" text="${1#*:}" field
    case "$kind" in
        json) arguments+=(--json "$text") ;;
        form) while read -rd'&' field; do arguments+=(--data-urlencode "$field"); done <<<"$text&" ;;
        bytes | pad)
            if [ "$kind" = pad ]; then
                printf "%-${text%%:*}s" "${text#*:}" >"$dir/upload"
                arguments+=(-H 'Content-Type: application/json')
            else
                # A block of 251 bytes, doubled until there are enough.
                printf "$(printf '\\x%02x' {0..250})" >"$dir/upload"
                while [ "$(stat -c %s "$dir/upload")" -lt "$text" ]; do
                    cat "$dir/upload" "$dir/upload" >"$dir/block" && mv "$dir/block" "$dir/upload"
                done
                truncate -s "$text" "$dir/upload"
                arguments+=(-H 'Content-Type: application/octet-stream')
            fi
            if [[ ,$2, == *,gzip,* ]]; then
                gzip -f "$dir/upload" && mv "$dir/upload.gz" "$dir/upload"
                arguments+=(-H 'Content-Encoding: gzip')
            fi
            if [[ ,$2, == *,chunked,* ]]; then
                arguments+=(-H 'Transfer-Encoding: chunked')
            fi
            arguments+=(--data-binary "@$dir/upload")
            ;;
    esac
}

while IFS=$'\t' read -r name flags method path query body; do
    cursor=""
    while true; do
        arguments=(-X "$method")
        if [ "$method" = HEAD ]; then arguments=(-I); fi
        if [ -n "$token" ] && [[ ,$flags, != *,bare,* ]]; then arguments+=(-H "Authorization: Bearer $token"); fi
        if [[ ,$flags, == *,expect,* ]]; then arguments+=(-H 'Expect: 100-continue'); fi
        if [[ ,$flags, == *,stream,* ]]; then arguments+=(-N); fi
        url="$origin$(fill "$path")"
        if [ "$query" != - ]; then
            arguments+=(-G)
            while read -rd'&' field; do arguments+=(--data-urlencode "$(fill "$field")"); done <<<"$query&"
            if [ -n "$cursor" ]; then arguments+=(--data-urlencode "page_cursor=$cursor"); fi
        fi
        body_of "$body" "$flags"
        if [[ ,$flags, == *,twenty,* ]]; then
            # curl 7.88 cannot use such a connection twice.
            if [ "$speak" = --http2-prior-knowledge ]; then
                for n in {1..20}; do ask "$name" "$url" "${arguments[@]}"; done
                break
            fi
            urls=() && for n in {1..20}; do urls+=(-o "$dir/body$n" "$url"); done
            curl -sS -m 30 "$speak" -D "$dir/head" -w '%{http_code}\t%{http_version}\n' "${arguments[@]}" "${urls[@]}" >"$dir/wrote" 2>/dev/null
            n=0
            while IFS= read -r wrote; do n=$((n + 1)) && cp "$dir/body$n" "$dir/body" && answer "$name" "$wrote"; done <"$dir/wrote"
            break
        fi
        ask "$name" "$url" "${arguments[@]}" || break
        if [[ ,$flags, == *,save,* ]]; then
            if [ -n "$(member access_token)" ]; then token="$(member access_token)"; else id="$(member id)" created_at="$(member created_at)"; fi
        fi
        cursor="$(member next_page_cursor)"
        if [[ ,$flags, != *,pages,* ]] || [ -z "$cursor" ]; then break; fi
    done
done
