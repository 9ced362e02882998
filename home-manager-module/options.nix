# The options of sops-nix's module for home-manager, with the same types and defaults.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  shared = import ../nixos-module/lib/options.nix { inherit lib pkgs cfg; };
  identities = shared.identities (_: {
    default = [ ];
  });

  secret = types.submodule (
    { name, ... }:
    let
      common = shared.secret { inherit name; };
    in
    {
      options = {
        inherit (common) key mode;
        name = mkOption {
          type = types.str;
          default = name;
          description = "Name of the file below `sops.defaultSymlinkPath`.";
        };
        path = mkOption {
          type = types.str;
          default = "${cfg.defaultSymlinkPath}/${name}";
          defaultText = lib.literalExpression "\"\${config.sops.defaultSymlinkPath}/\${name}\"";
          description = "Where the secret can be read. `%r` stands for the runtime directory of the user.";
        };
        format = common.format [
          "yaml"
          "json"
          "binary"
          "ini"
          "dotenv"
        ];
        sopsFile = mkOption {
          type = types.path;
          default = cfg.defaultSopsFile;
          defaultText = lib.literalExpression "config.sops.defaultSopsFile";
          description = "The encrypted file.";
        };
      };
    }
  );
in
{
  options.sops = shared.settings // {
    secrets = mkOption {
      type = types.attrsOf secret;
      default = { };
      description = "Values of sops files, and the files that they become.";
    };
    validateSopsFiles = mkOption {
      type = types.bool;
      default = true;
      description = "Whether sops files are checked when the configuration is built; they must then be in the Nix store.";
    };
    defaultSymlinkPath = mkOption {
      type = types.str;
      default = "${config.xdg.configHome}/sops-nix/secrets";
      defaultText = lib.literalExpression "\"\${config.xdg.configHome}/sops-nix/secrets\"";
      description = "The link to the current generation of secrets.";
    };
    defaultSecretsMountPoint = mkOption {
      type = types.str;
      default = "%r/secrets.d";
      description = "Where generations of secrets live. `%r` stands for the runtime directory of the user.";
    };
    environment = mkOption {
      type = types.attrsOf (types.either types.str types.path);
      default = { };
      description = "Environment of forestage.";
    };
    inherit (identities) age;
    gnupg = identities.gnupg // {
      qubes-split-gpg = {
        enable = lib.mkEnableOption "Split GPG of Qubes OS";
        domain = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "vault-gpg";
          description = "The qube that has the keys.";
        };
      };
    };
  };
}
