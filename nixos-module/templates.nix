# sops.templates and sops.placeholder: the options of sops-nix, and the phases that its templates do not have.
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
      description = "Units to ${what} when the rendered template has changed.";
    };

  template = types.submodule (
    { config, ... }:
    {
      options = shared.template config // {
        name = mkOption {
          type = types.singleLineStr;
          default = config._module.args.name;
          description = "Name of the file below `/run/secrets/rendered`.";
        };
        path = mkOption {
          type = types.singleLineStr;
          default = "${paths.of config}/rendered/${config.name}";
          defaultText = lib.literalMD "`/run/secrets/rendered/NAME`, or below the directory of its phase";
          description = "Where the rendered file can be read. Other than the default, a symlink to the default is made there.";
        };
        owner = mkOption {
          type = types.nullOr types.singleLineStr;
          default = null;
          description = "Owner by name; only with `uid` 0.";
        };
        uid = mkOption {
          type = types.nullOr types.int;
          default = 0;
          description = "Owner by number, when `owner` is null; no such user need exist.";
        };
        group = mkOption {
          type = types.nullOr types.singleLineStr;
          default = if config.owner != null then users.${config.owner}.group else null;
          defaultText = lib.literalMD "the group of `owner`";
          description = "Group by name; only with `gid` 0.";
        };
        gid = mkOption {
          type = types.nullOr types.int;
          default = 0;
          description = "Group by number, when `group` is null; no such group need exist.";
        };
        restartUnits = units "restart";
        reloadUnits = units "reload";
        neededForUsers = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether this template is needed before users and groups exist. The secrets that it uses must be `neededForUsers`
            too.
          '';
        };
        neededForBootloader = placement.neededForBootloader "template";
        initrd = placement.initrd {
          kind = "template";
          entry = config;
        };
      };
    }
  );
in
{
  options.sops = {
    templates = mkOption {
      type = types.attrsOf template;
      default = { };
      description = "Files that mix plain text with values of secrets.";
    };
    inherit (shared) placeholder;
  };

  config.sops.placeholder = shared.placeholders;
}
