# sops.secrets: the options of sops-nix, with the same types and defaults, and what the other phases need.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  users = config.users.users;
  placement = import ./lib/placement.nix { inherit lib; };
  paths = import ./lib/paths.nix;
  shared = import ./lib/options.nix { inherit lib pkgs cfg; };

  secret = types.submodule (
    { config, ... }:
    let
      common = shared.secret { inherit (config._module.args) name; };
    in
    {
      options =
        placement.ownership {
          entry = config;
          inherit users;
          string = types.str;
        }
        // placement.units "this secret"
        // {
          inherit (common) key mode;
          name = mkOption {
            type = types.str;
            default = config._module.args.name;
            description = "Name of the file below `/run/secrets`; it may have several components.";
          };
          path = mkOption {
            type = types.str;
            default = "${paths.of config}/${config.name}";
            defaultText = lib.literalMD "`/run/secrets/NAME`, `/run/secrets-for-users/NAME` or `/run/secrets-for-bootloader/NAME`";
            description = "Where the secret can be read. Other than the default, a symlink to the default is made there.";
          };
          format = common.format [
            "yaml"
            "json"
            "binary"
            "dotenv"
            "ini"
          ];
          sopsFile = mkOption {
            type = types.path;
            defaultText = lib.literalExpression "config.sops.defaultSopsFile";
            description = "The encrypted file.";
          };
          sopsFileHash = mkOption {
            type = types.str;
            readOnly = true;
            description = "Hash of the sops file, for instance for `restartTriggers`; empty without `validateSopsFiles`.";
          };
          neededForUsers = mkOption {
            type = types.bool;
            default = false;
            description = ''
              Whether this secret is needed before users and groups exist, as password files are. It is then in
              `/run/secrets-for-users` and belongs to root.
            '';
          };
          neededForBootloader = placement.neededForBootloader "secret";
          initrd = placement.initrd {
            kind = "secret";
            entry = config;
          };
        };
      config = {
        sopsFile = lib.mkOptionDefault cfg.defaultSopsFile;
        sopsFileHash = lib.mkOptionDefault (
          lib.optionalString cfg.validateSopsFiles (builtins.hashFile "sha256" config.sopsFile)
        );
      };
    }
  );
in
{
  options.sops.secrets = mkOption {
    type = types.attrsOf secret;
    default = { };
    description = "Values of sops files, and the files that they become.";
  };
}
