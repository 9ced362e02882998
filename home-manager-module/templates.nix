# sops.templates and sops.placeholder, as in sops-nix's module for home-manager.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;

  template = types.submodule (
    { config, ... }:
    {
      options = {
        name = mkOption {
          type = types.singleLineStr;
          default = config._module.args.name;
          description = "Name of the file below `rendered` in `sops.defaultSymlinkPath`.";
        };
        path = mkOption {
          type = types.singleLineStr;
          default = "${cfg.defaultSymlinkPath}/rendered/${config.name}";
          defaultText = lib.literalExpression "\"\${config.sops.defaultSymlinkPath}/rendered/\${name}\"";
          description = "Where the rendered file can be read.";
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
        file = mkOption {
          type = types.path;
          default = pkgs.writeText config.name config.content;
          defaultText = lib.literalExpression "pkgs.writeText config.name config.content";
          example = "./configuration-template.conf";
          description = "File with the text, when `content` is empty.";
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
