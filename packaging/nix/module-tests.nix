# nixos-module/tests with a real nixpkgs: `nix flake check` runs them.
{
  runCommand,
  bash,
  cpio,
  gnupg,
  jq,
  nix,
  python3,
  util-linux,
  forestage,
  nixpkgs,
  source,
}:
runCommand "forestage-module-tests"
  {
    nativeBuildInputs = [
      bash
      cpio
      gnupg
      jq
      nix
      python3
      util-linux
    ];
    NIXPKGS_LIB = "${nixpkgs}/lib";
    NIXOS_TREE = nixpkgs;
    FORESTAGE_BINARY = "${forestage}/bin/forestage";
  }
  ''
    bash ${source}/nixos-module/tests/run
    touch $out
  ''
