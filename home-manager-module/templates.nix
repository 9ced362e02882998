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
  shared = import ../nixos-module/lib/options.nix { inherit lib pkgs cfg; };

  template = types.submodule (
    { config, ... }:
    {
      options = shared.template config // {
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
