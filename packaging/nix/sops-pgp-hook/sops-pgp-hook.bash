# Imports the keys of sopsPGPKeyDirs and sopsPGPKeys, and lists their fingerprints in SOPS_PGP_FP. Prefer a .sops.yaml and
# sops-import-keys-hook.

_sopsPGPImport() {
    local fingerprint
    @gpg@ --quiet --import "$1"
    # The first is the primary key's; those of subkeys follow.
    fingerprint=$(@gpg@ --with-colons --with-fingerprint --show-key "$1" | awk -F: '$1 == "fpr" { print $10; exit }')
    if [ -n "$fingerprint" ]; then
        export SOPS_PGP_FP=${SOPS_PGP_FP:+$SOPS_PGP_FP,}$fingerprint
    fi
}

sopsPGPHook() {
    local key directory
    for key in ${sopsPGPKeys-}; do
        if [ -f "$key" ]; then _sopsPGPImport "$key"; else echo "sops-pgp-hook: there is no key $key" >&2; fi
    done
    for directory in ${sopsPGPKeyDirs-}; do
        while IFS= read -r -d '' key; do
            _sopsPGPImport "$key"
        done < <(find -L "$directory" -type f '(' -name '*.asc' -o -name '*.gpg' ')' -print0)
    done
}

shellHook="sopsPGPHook${shellHook:+;$shellHook}"
