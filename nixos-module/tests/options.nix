# The options of a module, without any NixOS around it: for the reference in docs/nixos/options.md, and for holding ours
# against sops-nix's.
{
  lib ? import (builtins.getEnv "NIXPKGS_LIB"),
  module ? ../.,
  # What stands around the module: options that it defines values for.
  around ? [
    "assertions"
    "boot"
    "fileSystems"
    "home"
    "launchd"
    "services"
    "system"
    "systemd"
    "users"
    "virtualisation"
    "warnings"
    "xdg"
  ],
}:
let
  evaluated = lib.evalModules {
    modules = [
      module
      {
        options = lib.genAttrs around (_: lib.mkOption { type = lib.types.raw or lib.types.unspecified; });
        config._module.check = false;
        config._module.args = {
          pkgs = { };
          utils = { };
        };
      }
    ];
  };
  # Names as people write them; the module system's own are none.
  all = lib.filter (option: lib.hasPrefix "sops." option.name && !(lib.hasInfix "._module." option.name)) (
    lib.optionAttrSetToDocList { inherit (evaluated.options) sops; }
  );
  known = lib.importJSON ./sops-nix-options.json;
  # Same name and type, and more or another meaning.
  changed = {
    "sops.secrets.<name>.key" = "list indices, and keys that contain `/`; scalars of every type";
    "sops.secrets.<name>.path" = "a file there that is not ours is kept, and an error";
    "sops.validateSopsFiles" = "also refuses files that are not encrypted";
    "sops.secrets.<name>.name" = "may differ from the attribute when templates use the secret";
    "sops.age.generateKey" = "with systemd activation, a unit that waits for the file system of the key";
    "sops.age.sshKeyPaths" = "opens files for `ssh-ed25519` recipients too";
  };
  cell = text: lib.replaceStrings [ "|" "\n" ] [ "\\|" " " ] (lib.trim or (s: s) text);
  textOf = value: if builtins.isString value then value else value.text or "";
  defaultOf =
    option:
    if !(option ? default) then
      ""
    else if option.default._type or "" == "literalMD" then
      textOf option.default
    else
      "`${textOf option.default}`";
  row =
    option:
    let
      tag =
        if !(known ? ${option.name}) then
          "new"
        else if changed ? ${option.name} then
          "changed: ${changed.${option.name}}"
        else
          "same";
    in
    "| `${option.name}` | ${cell option.type} | ${cell (defaultOf option)} | ${cell (textOf option.description)} | ${tag} |";
  visible = lib.filter (option: option.visible && !option.internal) all;
in
{
  types = lib.listToAttrs (map (option: lib.nameValuePair option.name option.type) all);
  rows = lib.concatMapStringsSep "\n" row (lib.sort (a: b: a.name < b.name) visible);
}
