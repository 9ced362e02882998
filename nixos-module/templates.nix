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

  template = types.submodule (
    { config, ... }:
    {
      options =
        shared.template config
        // placement.ownership {
          entry = config;
          inherit users;
          string = types.singleLineStr;
        }
        // placement.units "the rendered template"
        // {
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
