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
      options = {
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
        content = mkOption {
          type = types.lines;
          default = "";
          description = "The text, with `config.sops.placeholder.NAME` where values of secrets belong.";
        };
        mode = mkOption {
          type = types.singleLineStr;
          default = "0400";
          description = "Permissions, in octal.";
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
        file = mkOption {
          type = types.path;
          default = pkgs.writeText config.name config.content;
          defaultText = lib.literalExpression "pkgs.writeText config.name config.content";
          example = "./configuration-template.conf";
          description = "File with the text, when `content` is empty.";
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
    placeholder = mkOption {
      type = types.attrsOf (
        types.mkOptionType {
          name = "coercibleToString";
          description = "value that can be coerced to string";
          check = lib.strings.isConvertibleWithToString;
          merge = lib.mergeEqualOption;
        }
      );
      default = { };
      visible = false;
      description = "What stands for the value of each secret in a template.";
    };
  };

  config = lib.mkIf (cfg.templates != { }) {
    sops.placeholder = lib.mapAttrs (
      name: _: lib.mkDefault "<SOPS:${builtins.hashString "sha256" name}:PLACEHOLDER>"
    ) cfg.secrets;
  };
}
