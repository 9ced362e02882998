{
  description = "Stages sops secrets in every boot phase: a drop-in for sops-nix, and secrets in the initrd";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = nixpkgs.lib.genAttrs systems;
      packagesOf = system: import ./default.nix { pkgs = nixpkgs.legacyPackages.${system}; };
    in
    {
      packages = each packagesOf;

      overlays.default = import ./packaging/nix/overlay.nix;

      nixosModules = {
        sops = ./nixos-module;
        default = self.nixosModules.sops;
        # Beside a module that imports sops-nix itself.
        replace-sops-nix = ./nixos-module/replace-sops-nix.nix;
      };

      homeManagerModules = {
        sops = ./home-manager-module;
        default = self.homeManagerModules.sops;
      };
      # Other names that sops-nix has for it.
      homeManagerModule = self.homeManagerModules.sops;
      homeModules = self.homeManagerModules;

      devShells = each (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
        in
        {
          default = pkgs.mkShell {
            packages = with pkgs; [
              cargo
              clippy
              cpio
              gnumake
              go
              jq
              qemu
              rustc
              rustfmt
              sops
              strace
            ];
          };
        }
      );

      checks = each (
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
        in
        {
          inherit (self.packages.${system}) forestage sops-init-gpg-key;
          module = pkgs.callPackage ./packaging/nix/module-tests.nix {
            inherit (self.packages.${system}) forestage;
            inherit nixpkgs;
            source = self;
          };
        }
        // import ./vm-tests/nixos { inherit pkgs; }
      );

      formatter = each (system: nixpkgs.legacyPackages.${system}.nixfmt-tree);
    };
}
