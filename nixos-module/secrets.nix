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

  units =
    what:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "sshd.service" ];
      description = "Units to ${what} when this secret has changed.";
    };

  secret = types.submodule (
    { config, ... }:
    let
      common = shared.secret { inherit (config._module.args) name; };
    in
    {
      options = {
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
        owner = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "Owner by name; only with `uid` 0.";
        };
        uid = mkOption {
          type = types.nullOr types.int;
          default = 0;
          description = "Owner by number, when `owner` is null; no such user need exist.";
        };
        group = mkOption {
          type = types.nullOr types.str;
          default = if config.owner != null then users.${config.owner}.group else null;
          defaultText = lib.literalMD "the group of `owner`";
          description = "Group by name; only with `gid` 0.";
        };
        gid = mkOption {
          type = types.nullOr types.int;
          default = 0;
          description = "Group by number, when `group` is null; no such group need exist.";
        };
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
        restartUnits = units "restart";
        reloadUnits = units "reload";
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
