# forestage, and the name sops-install-secrets that it answers to.
{
  lib,
  rustPlatform,
  stdenv,
}:

let
  cargo = lib.importTOML ../../Cargo.toml;
in
rustPlatform.buildRustPackage {
  pname = "forestage";
  inherit (cargo.package) version;

  src = lib.cleanSourceWith {
    src = ../..;
    filter =
      path: _:
      let
        relative = lib.removePrefix (toString ../.. + "/") (toString path);
        parts = [
          "Cargo.toml"
          "Cargo.lock"
          ".cargo"
          "build.rs"
          "linking"
          "src"
          "benches"
          "packaging/completions"
          "tests"
        ];
      in
      lib.any (
        part: relative == part || lib.hasPrefix "${part}/" relative || lib.hasPrefix "${relative}/" part
      ) parts;
  };
  cargoLock.lockFile = ../../Cargo.lock;

  # The tests of the program want sops, gpg and the original; `make test` runs them.
  cargoTestFlags = [ "--lib" ];

  postInstall = ''
    ln -s forestage $out/bin/sops-install-secrets
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    sh packaging/completions $out/bin/forestage $out/share
  '';

  meta = {
    description = "Stages sops secrets in every boot phase";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "forestage";
    platforms = lib.platforms.linux;
  };
}
