# What stands in for modules that a tree does not have yet: lists of modules, empty where the tree has its own.
tree:
let
  unless = path: stub: if builtins.pathExists (tree + "/nixos/modules/${path}") then [ ] else [ stub ];
in
{
  userborn = unless "services/system/userborn.nix" ./userborn.nix;
  limine = unless "system/boot/loader/limine/limine.nix" ./limine.nix;
  preSwitchChecks = unless "system/activation/pre-switch-check.nix" ./pre-switch-checks.nix;
}
