# Secrets of a user, by the unit that the module for home-manager makes: at the first login, and with lingering without any.
# home-manager itself is not part of nixpkgs: its part, putting the unit in place, is played by systemd.user.services.
{
  name = "forestage-home-manager";

  nodes.machine =
    { config, lib, pkgs, ... }:
    let
      data = ../../nixos-module/tests/data;
      user =
        (lib.evalModules {
          specialArgs = { inherit pkgs; };
          modules = [
            ../../home-manager-module
            {
              options =
                lib.genAttrs [ "assertions" "home" "systemd" ] (_: lib.mkOption { type = lib.types.anything; })
                // {
                  xdg.configHome = lib.mkOption { default = "/home/alice/.config"; };
                };
              config = {
                systemd.user.systemctlPath = "systemctl";
                sops.package = config.sops.package;
                sops.age.keyFile = "/home/alice/key.txt";
                sops.defaultSopsFile = data + "/secrets.yaml";
                sops.secrets.test_key.path = "%r/test_key";
              };
            }
          ];
        }).config.systemd.user.services.sops-nix;
    in
    {
      imports = [ ../../nixos-module ];
      users.users.alice = {
        isNormalUser = true;
        linger = true;
      };
      systemd.tmpfiles.rules = [ "C /home/alice/key.txt 0600 alice users - ${data + "/key.txt"}" ];
      systemd.user.services.sops-nix = {
        wantedBy = user.Install.WantedBy;
        serviceConfig = {
          inherit (user.Service) Type ExecStart;
        };
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds("test -e /run/user/1000/test_key")
    assert machine.succeed("cat /run/user/1000/test_key") == "test_value"
    assert machine.succeed("stat -Lc %U /run/user/1000/test_key").strip() == "alice"
    assert machine.succeed("cat /home/alice/.config/sops-nix/secrets/test_key") == "test_value"
  '';
}
