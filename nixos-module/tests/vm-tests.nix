# The nodes of vm-tests/nixos, evaluated one by one: no assertion fails and the whole system evaluates. `scripts` are their test
# scripts.
let
  evaluation = import ./evaluate.nix { module = { }; };
  inherit (evaluation) lib pkgs tree;
  directory = ../../vm-tests/nixos;
  stubs = import ./stubs tree;

  test =
    name:
    let
      file = import (directory + "/${name}.nix");
      value = if lib.isFunction file then file { inherit lib pkgs; } else file;
      nodes = lib.mapAttrs (
        _: node:
        (evaluation.systemWith { inherit nodes; } (
          stubs.userborn
          ++ stubs.limine
          ++ [
            (tree + "/nixos/modules/virtualisation/qemu-vm.nix")
            # The framework lets root in.
            { users.allowNoPasswordLogin = true; }
            node
          ]
        )).config
      ) value.nodes;
    in
    {
      inherit nodes;
      script = if lib.isFunction value.testScript then value.testScript { inherit nodes; } else value.testScript;
    };
  tests = lib.genAttrs (import (directory + "/list.nix")) test;
in
{
  scripts = lib.mapAttrs (_: t: builtins.unsafeDiscardStringContext t.script) tests;

  checks = lib.listToAttrs (
    lib.concatLists (
      lib.mapAttrsToList (
        name: t:
        lib.mapAttrsToList (
          node: config:
          lib.nameValuePair "vm-tests/nixos/${name}: node ${node}" {
            actual = {
              failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
              evaluates = builtins.isString config.system.build.toplevel.drvPath;
            };
            expected = {
              failed = [ ];
              evaluates = true;
            };
          }
        ) t.nodes
      ) tests
    )
  );
}
