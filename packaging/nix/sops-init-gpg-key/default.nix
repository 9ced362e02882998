# Makes an OpenPGP key for a machine, without a passphrase, in a home of its own.
{
  lib,
  stdenvNoCC,
  makeWrapper,
  bash,
  coreutils,
  gawk,
  gnupg,
  unixtools,
  util-linux,
}:
stdenvNoCC.mkDerivation {
  pname = "sops-init-gpg-key";
  version = "1";
  src = ./sops-init-gpg-key;
  dontUnpack = true;
  nativeBuildInputs = [ makeWrapper ];
  buildInputs = [ bash ];
  installPhase = ''
    install -Dm755 "$src" "$out/bin/sops-init-gpg-key"
    patchShebangs "$out/bin"
    wrapProgram "$out/bin/sops-init-gpg-key" --prefix PATH : ${
      lib.makeBinPath [
        coreutils
        gawk
        gnupg
        unixtools.hostname
        util-linux
      ]
    }
  '';
  doInstallCheck = true;
  installCheckPhase = ''
    "$out/bin/sops-init-gpg-key" --hostname server01 --gpghome "$TMPDIR/key"
  '';
}
