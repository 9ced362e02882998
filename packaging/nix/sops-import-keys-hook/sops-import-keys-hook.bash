# Reads the variables sopsPGPKeyDirs (directories with *.asc and *.gpg), sopsPGPKeys (files), and with sopsCreateGPGHome makes a
# keyring of the project, in sopsGPGHome or .git/gnupg.

_sopsEachKey() {
    local key directory
    # Both lists are words, as nix makes them of lists.
    for key in ${sopsPGPKeys-}; do
        if [ -f "$key" ]; then "$1" "$key"; else echo "sops-import-keys-hook: there is no key $key" >&2; fi
    done
    for directory in ${sopsPGPKeyDirs-}; do
        while IFS= read -r -d '' key; do
            "$1" "$key"
        done < <(find -L "$directory" -type f '(' -name '*.asc' -o -name '*.gpg' ')' -print0)
    done
}

_sopsImportKey() {
    @gpg@ --quiet --import "$1"
}

sopsImportKeysHook() {
    if [ -n "${sopsCreateGPGHome-}" ]; then
        export GNUPGHOME=${sopsGPGHome:-$PWD/.git/gnupg}
        mkdir -p -m 700 "$GNUPGHOME"
    fi
    _sopsEachKey _sopsImportKey
}

shellHook="sopsImportKeysHook${shellHook:+;$shellHook}"
