# The environment of a forestage that a script starts.
#
# HOME is a directory that nobody can fill, so that no key of the caller's is tried; PATH has the age plugins. Values
# stand between single quotes and are not escaped: sops-nix documents that command substitutions get through that way.
{ config, lib }:
let
  cfg = config.sops;
  environment = cfg.environment // {
    HOME = "/var/empty";
    PATH = lib.makeBinPath cfg.age.plugins;
  };
  export = name: value: "  export ${name}='${value}'";
in
call: ''
  (
  ${lib.concatStringsSep "\n" (lib.mapAttrsToList export environment)}
    ${call}
  )
''
